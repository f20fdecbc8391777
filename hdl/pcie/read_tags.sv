// State of every tag: who holds it, what is still to come, for how long.
//
// taken (a slot is reserved) -> active (the packet left on rq) -> done (answered, refused or timed out) -> free once
// the reader has given the bytes out. A tag that timed out is a zombie until its completion has come after all or a
// quarantine of twice the time-out is over; it is not used again before, not even after a device reset. Only where
// every slot of a client is a zombie, `clear` gives them back at once.
module read_tags #(
    parameter int unsigned SLOTS = 32,
    parameter int unsigned TIMEOUT_CYCLES = 65536
) (
    input  logic                 clk,
    input  logic                 rst,
    input  logic                 clear,

    output logic [SLOTS-1:0]     free,
    output logic [SLOTS-1:0]     done,
    output logic [SLOTS-1:0]     bad,      // with done: the bytes are void
    output logic                 idle,     // nothing active

    input  logic                 take,
    input  dma_pkg::tag_t        take_tag,
    input  logic [63:0]          take_addr,
    input  logic [9:0]           take_bytes,
    input  logic                 sent,
    input  dma_pkg::tag_t        sent_tag,
    input  logic                 release_slot,
    input  dma_pkg::tag_t        release_tag,

    input  dma_pkg::tag_t        look_tag,
    output dma_pkg::tag_state_t  look,
    input  logic                 update_valid,
    input  dma_pkg::tag_update_t update,

    input  logic                 timeout_enable,
    output logic                 timeout,  // one-cycle pulse
    output logic [63:0]          timeout_addr
);
    import endpoint_pkg::*;
    import dma_pkg::*;

    // Time is kept in ticks of 16 cycles.
    localparam int unsigned LIMIT = TIMEOUT_CYCLES / 16 + 1;
    localparam int unsigned STAMP_W = $clog2(LIMIT) + 2;

    logic [SLOTS-1:0] taken_reg;
    logic [SLOTS-1:0] active_reg;
    logic [SLOTS-1:0] zombie_reg;
    logic [9:0]         left_reg[SLOTS];
    logic [9:0]         finish_mem[SLOTS];
    logic [63:0]        addr_mem[SLOTS];
    logic [STAMP_W-1:0] stamp_mem[SLOTS];

    assign free = ~(taken_reg | zombie_reg);
    assign idle = active_reg == 0;

    localparam int unsigned TAG_W = $clog2(SLOTS);
    logic [TAG_W-1:0] scan_reg;
    logic [STAMP_W+3:0] clock_reg;
    logic [STAMP_W-1:0] age;
    assign age = clock_reg[STAMP_W+3:4] - stamp_mem[scan_reg];
    assign timeout = timeout_enable && active_reg[scan_reg] && age > STAMP_W'(LIMIT)
        && !(update_valid && update.tag[TAG_W-1:0] == scan_reg);
    assign timeout_addr = addr_mem[scan_reg];

    logic expired;
    assign expired = zombie_reg[scan_reg] && age > STAMP_W'(3 * LIMIT);

    // A completion that has begun for a zombie may end when its tag belongs to another request.
    logic update_counts;
    assign update_counts = update_valid && (zombie_reg[update.tag[TAG_W-1:0]] ||
        (active_reg[update.tag[TAG_W-1:0]] && !update.late));

    logic [TAG_W-1:0] look_index;
    assign look_index = look_tag[TAG_W-1:0];
    always_comb begin
        look.active = active_reg[look_index];
        look.zombie = zombie_reg[look_index];
        look.left = left_reg[look_index];
        look.finish = finish_mem[look_index];
    end

    logic [SLOTS-1:0] lost;    // zombies that `clear` gives back
    always_comb begin
        lost = '0;
        for (int unsigned c = 0; c < READ_CLIENTS; c++) begin
            if ((~zombie_reg & SLOTS'(slot_mask(SLOTS, c))) == 0) lost |= SLOTS'(slot_mask(SLOTS, c));
        end
    end

    always_ff @(posedge clk) begin
        if (take) begin
            finish_mem[take_tag[TAG_W-1:0]] <= {1'b0, take_addr[8:0]} + take_bytes;
            addr_mem[take_tag[TAG_W-1:0]] <= take_addr;
        end
        if (sent) stamp_mem[sent_tag[TAG_W-1:0]] <= clock_reg[STAMP_W+3:4];
    end

    always_ff @(posedge clk) begin
        if (take) begin
            taken_reg[take_tag[TAG_W-1:0]] <= 1'b1;
            done[take_tag[TAG_W-1:0]] <= 1'b0;
            bad[take_tag[TAG_W-1:0]] <= 1'b0;
            left_reg[take_tag[TAG_W-1:0]] <= take_bytes;
        end
        if (release_slot) begin
            taken_reg[release_tag[TAG_W-1:0]] <= 1'b0;
            done[release_tag[TAG_W-1:0]] <= 1'b0;
        end
        if (sent) active_reg[sent_tag[TAG_W-1:0]] <= 1'b1;
        if (update_counts) begin
            left_reg[update.tag[TAG_W-1:0]] <= update.left;
            if (update.bad) bad[update.tag[TAG_W-1:0]] <= 1'b1;
            if (update.left == 0) begin
                if (active_reg[update.tag[TAG_W-1:0]]) done[update.tag[TAG_W-1:0]] <= 1'b1;
                active_reg[update.tag[TAG_W-1:0]] <= 1'b0;
                zombie_reg[update.tag[TAG_W-1:0]] <= 1'b0;
            end
        end
        if (timeout) begin
            active_reg[scan_reg] <= 1'b0;
            zombie_reg[scan_reg] <= 1'b1;
            done[scan_reg] <= 1'b1;
            bad[scan_reg] <= 1'b1;
        end
        if (expired) zombie_reg[scan_reg] <= 1'b0;
        scan_reg <= scan_reg + 1'b1;
        clock_reg <= clock_reg + 1'b1;
        if (clear) begin
            // A request that is out although nothing should be: its completion must not meet a later one's slot.
            taken_reg <= '0;
            active_reg <= '0;
            zombie_reg <= (zombie_reg | active_reg) & ~lost;
            done <= '0;
        end
        if (rst) begin
            taken_reg <= '0;
            active_reg <= '0;
            zombie_reg <= '0;
            done <= '0;
            bad <= '0;
            scan_reg <= '0;
            clock_reg <= '0;
        end
    end
endmodule
