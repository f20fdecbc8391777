// Completions on their way to cc, in order. A read completion leaves only after every posted write that was granted
// to rq, and the MSI-X message that stood ready, when its data was read: it must push them ahead of itself (PCIe
// ordering; read-back of device_status, of a mask, of the ISR).
module completion_queue
#(
    parameter int unsigned DATA_W = 256
) (
    input  logic        clk,
    input  logic        rst,
    // from the executor
    output logic        space,          // for one completion of up to 128 bytes
    input  logic        dword_valid,
    input  logic        dword_last,     // of this completion
    input  logic [31:0] dword,
    input  logic        push,           // header, after its last dword
    input  logic        push_waits,
    input  logic [5:0]  push_dwords,
    input  logic [127:0] push_hdr,
    // posted order
    input  logic [7:0]  posted_granted,
    input  logic [7:0]  posted_sent,
    input  logic        message_valid,  // an MSI-X message stands before the arbiter
    input  logic        message_gone,   // it was taken (or forgotten) in this cycle
    tlp_if.src          cc
);
    localparam int unsigned DEPTH = 4;
    localparam int unsigned BEAT_DWORDS = DATA_W / 32;
    localparam int unsigned LANE_W = $clog2(BEAT_DWORDS);
    localparam int unsigned BEATS = DEPTH * 32 / BEAT_DWORDS;
    localparam int unsigned BEAT_W = $clog2(BEATS);
    localparam int unsigned PTR_W = $clog2(DEPTH);

    // ---- payload: dwords are gathered into beats ----
    logic [DATA_W-1:0] beats [BEATS];
    logic [DATA_W-1:0] beat_reg, beat_next;
    logic [LANE_W-1:0] lane_reg;
    logic [BEAT_W-1:0] write_reg, read_reg;
    logic              beat_done;

    always_comb begin
        beat_next = beat_reg;
        beat_next[32 * lane_reg +: 32] = dword;
    end
    assign beat_done = dword_valid && (dword_last || &lane_reg);

    always_ff @(posedge clk) begin
        if (beat_done) beats[write_reg] <= beat_next;
        if (dword_valid) begin
            beat_reg <= beat_done ? '0 : beat_next;
            lane_reg <= beat_done ? '0 : lane_reg + LANE_W'(1);
        end
        if (rst) begin
            beat_reg <= '0;
            lane_reg <= '0;
            write_reg <= '0;
        end else if (beat_done) write_reg <= write_reg + BEAT_W'(1);
    end

    // ---- headers, each with what it waits for ----
    typedef struct packed {
        logic [127:0] hdr;
        logic [5:0]  dwords;
        logic        for_message;    // wait for the message first, then take the ticket anew
        logic        for_posted;
        logic [7:0]  ticket;
    } entry_t;

    entry_t [DEPTH-1:0] entry_reg;
    logic [PTR_W:0]     head_reg, tail_reg, count;
    entry_t             head;
    logic [5:0]         beat_index_reg;    // dwords that have left
    logic               message_gone_reg, leave;

    // How far `posted_sent` is from an entry's ticket: less than 0 as long as the entry waits. By the time it is looked
    // at, a packet that came behind the ticket may have left too, in one cycle.
    logic [DEPTH-1:0][7:0] behind;
    always_comb for (int unsigned i = 0; i < DEPTH; i++) behind[i] = posted_sent - entry_reg[i].ticket;

    logic unused;
    assign unused = &{1'b0, head, behind};

    assign count = tail_reg - head_reg;
    assign space = count < (PTR_W + 1)'(DEPTH);
    assign head = entry_reg[head_reg[PTR_W-1:0]];

    assign cc.valid = count != '0 && !head.for_message && !head.for_posted;
    assign cc.hdr = head.hdr;
    assign cc.data = head.dwords == '0 ? '0 : beats[read_reg];
    assign cc.last = 7'(beat_index_reg) + 7'(BEAT_DWORDS) >= 7'(head.dwords);
    assign leave = cc.valid && cc.ready;

    always_ff @(posedge clk) begin
        message_gone_reg <= message_gone;
        for (int unsigned i = 0; i < DEPTH; i++) begin
            if (entry_reg[i].for_message) begin
                entry_reg[i].for_message <= !message_gone_reg;
                entry_reg[i].ticket <= posted_granted;
            end else if (!behind[i][7]) entry_reg[i].for_posted <= 1'b0;
        end
        if (push) begin
            entry_reg[tail_reg[PTR_W-1:0]].hdr <= push_hdr;
            entry_reg[tail_reg[PTR_W-1:0]].dwords <= push_dwords;
            entry_reg[tail_reg[PTR_W-1:0]].for_message <= push_waits && message_valid;
            entry_reg[tail_reg[PTR_W-1:0]].for_posted <= push_waits;
            entry_reg[tail_reg[PTR_W-1:0]].ticket <= posted_granted;
        end
        if (rst) begin
            head_reg <= '0;
            tail_reg <= '0;
            read_reg <= '0;
            beat_index_reg <= '0;
        end else begin
            if (push) tail_reg <= tail_reg + (PTR_W + 1)'(1);
            if (leave) begin
                if (head.dwords != '0) read_reg <= read_reg + BEAT_W'(1);
                beat_index_reg <= cc.last ? '0 : beat_index_reg + 6'(BEAT_DWORDS);
                if (cc.last) head_reg <= head_reg + (PTR_W + 1)'(1);
            end
        end
    end
endmodule
