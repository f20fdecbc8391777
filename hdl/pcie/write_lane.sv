// One lane: takes commands in order and turns each into memory writes, offered one at a time as `packet`.
//
// Data is cut at multiples of Max_Payload_Size, hence at 4 KiB; a used entry only at 4 KiB (a packed one never: it is
// one write of 8 aligned bytes). A data packet is offered once all of its bytes are here, so that a packet never stands
// still on rq. A data command of 0 bytes takes no message and writes nothing.
module write_lane #(
    parameter int unsigned DATA_W = 256,
    localparam int unsigned LANE_W = $clog2(DATA_W / 8)
) (
    input  logic                     clk,
    input  logic                     rst,
    input  logic [2:0]               mps,
    input  logic                     cmd_valid,
    output logic                     cmd_ready,
    input  endpoint_pkg::write_cmd_t cmd,
    stream_if.snk                    data,

    // place of a used entry: see used_ring
    input  logic                     packed_ring,
    output logic                     begin_valid,
    input  logic                     begin_ready,
    output endpoint_pkg::queue_t     begin_queue,
    output logic [15:0]              begin_slots,
    input  logic [63:0]              entry_addr,
    input  logic [63:0]              index_addr,
    input  logic [15:0]              index,
    input  logic                     wrap,

    // next packet
    output logic                     packet_valid,
    input  logic                     packet_take,
    output dma_pkg::write_packet_t   packet,

    // its bytes, beat by beat: see byte_unpack
    input  logic                     select,
    input  logic                     take,
    input  logic [LANE_W-1:0]        offset,
    input  logic [LANE_W:0]          bytes,
    input  logic                     finish,
    output logic                     have,
    output logic [DATA_W-1:0]        beat
);
    import endpoint_pkg::*;

    localparam int unsigned BUFFER = 1024 / (DATA_W / 8);    // words: two packets of the largest size
    localparam int unsigned COUNT_W = $clog2(BUFFER) + 1;

    // ---- commands ----
    logic       head_valid;
    logic       head_ready;
    write_cmd_t head;
    // verilator lint_off PINCONNECTEMPTY
    word_fifo #(.WIDTH($bits(write_cmd_t)), .DEPTH(2)) commands (
        .clk, .rst, .in_valid(cmd_valid), .in_ready(cmd_ready), .in_data(cmd),
        .out_valid(head_valid), .out_ready(head_ready), .out_data(head), .count()
    );
    // verilator lint_on PINCONNECTEMPTY

    typedef enum logic [1:0] {
        IDLE,
        DATA,
        ENTRY,
        INDEX
    } state_e;
    state_e      state_reg;
    logic [63:0] addr_reg;
    logic [31:0] left_reg;       // bytes of the command that are not in a packet yet
    logic [63:0] imm_reg;
    logic [63:0] index_addr_reg;
    logic [15:0] index_reg;
    queue_t      queue_reg;
    context_t    ctx_reg;
    logic [15:0] slots_reg;

    assign begin_valid = state_reg == IDLE && head_valid && head.kind == WRITE_USED;
    assign begin_queue = head.queue;
    assign begin_slots = head.slots;
    assign head_ready = state_reg == IDLE && (head.kind == WRITE_DATA || begin_ready);

    // Of a used descriptor: AVAIL (bit 7) and USED (bit 15) are the wrap counter, and the length counts where something
    // was written (WRITE, bit 1; virtio 1.4, 2.8.4).
    logic [15:0] used_flags;
    assign used_flags = {wrap, 7'b0, wrap, 5'b0, head.len != 0, 1'b0};

    // ---- the next packet ----
    logic [11:0] block_mask;
    logic [12:0] room;
    logic        ends;
    always_comb begin
        case (mps)
            3'd0: block_mask = 12'h07F;
            3'd1: block_mask = 12'h0FF;
            default: block_mask = 12'h1FF;
        endcase
        if (state_reg != DATA) block_mask = 12'hFFF;
        room = {1'b0, block_mask} + 13'd1 - {1'b0, addr_reg[11:0] & block_mask};
        ends = left_reg <= 32'(room);
        packet.immediate = state_reg != DATA;
        packet.makes_used = state_reg == INDEX || (state_reg == ENTRY && packed_ring);
        packet.queue = queue_reg;
        packet.ctx = ctx_reg;
        packet.slots = slots_reg;
        packet.addr = addr_reg;
        packet.bytes = ends ? left_reg[9:0] : room[9:0];
        packet.finish = ends;
        packet.imm = imm_reg;
    end

    // ---- data, and whether all of the packet's bytes are here ----
    logic              word_valid;
    logic              word_ready;
    logic [DATA_W-1:0] word;
    logic [COUNT_W-1:0] words;
    logic              held;
    logic [LANE_W-1:0] position;
    word_fifo #(.WIDTH(DATA_W), .DEPTH(BUFFER)) buffer (
        .clk, .rst, .in_valid(data.valid), .in_ready(data.ready), .in_data(data.data),
        .out_valid(word_valid), .out_ready(word_ready), .out_data(word), .count(words)
    );
    byte_unpack #(.DATA_W(DATA_W)) unpack (
        .clk, .rst, .in_valid(word_valid), .in_ready(word_ready), .in_data(word),
        .select, .take, .offset, .bytes, .finish, .have, .data(beat), .held, .position
    );

    // A beat that leaves in this cycle is the last one of the packet before this one: its bytes count as gone, and
    // behind the end of a message, whose last beat may reach into a second word, this packet's begin with a new one.
    logic [10:0] begins;    // the packet's first byte, counted from lane 0 of the word that is held
    logic [10:0] reach;     // its last byte
    logic        all_here;
    always_comb begin
        begins = 11'(position) + (take ? 11'(bytes) : 11'd0);
        if (take && finish) begins = {(11 - LANE_W)'((begins - 11'd1) >> LANE_W) + 1'b1, LANE_W'(0)};
        reach = begins + {1'b0, packet.bytes} - 11'd1;
    end
    assign all_here = held && (11 - LANE_W)'(reach >> LANE_W) <= (11 - LANE_W)'(words);
    assign packet_valid = state_reg != IDLE && (state_reg != DATA || all_here);

    always_ff @(posedge clk) begin
        case (state_reg)
            IDLE: begin
                if (head_valid && head_ready) begin
                    queue_reg <= head.queue;
                    ctx_reg <= head.ctx;
                    slots_reg <= head.slots;
                    if (head.kind == WRITE_DATA) begin
                        addr_reg <= head.addr;
                        left_reg <= head.bytes;
                        if (head.bytes != 0) state_reg <= DATA;
                    end else begin
                        addr_reg <= entry_addr;
                        left_reg <= 32'd8;
                        imm_reg <= packed_ring ? {used_flags, head.id, head.len} : {head.len, 16'b0, head.id};
                        index_addr_reg <= index_addr;
                        index_reg <= index;
                        state_reg <= ENTRY;
                    end
                end
            end
            default: begin
                if (packet_take) begin
                    addr_reg <= addr_reg + 64'(packet.bytes);
                    left_reg <= left_reg - 32'(packet.bytes);
                    imm_reg <= {32'b0, imm_reg[63:32]};    // an entry is cut in its middle or not at all
                    if (ends) state_reg <= IDLE;
                    if (ends && state_reg == ENTRY && !packed_ring) begin
                        addr_reg <= index_addr_reg;
                        left_reg <= 32'd2;
                        imm_reg <= {32'b0, index_reg, 16'b0};    // upper half of the ring's first dword
                        state_reg <= INDEX;
                    end
                end
            end
        endcase
        if (rst) state_reg <= IDLE;
    end
endmodule
