// Gathers what a reply or an outward job consists of, immediate bytes and then bytes of storage at any address, into
// contiguous words for the scatter writer. Storage is read only when the inward jobs that came before are done; until
// then nothing of the message leaves, so that no lane holds half a packet while it waits for them.
//
// Not every output is of use. Records are taken whole; not every field counts here.
// verilator lint_off PINCONNECTEMPTY
// verilator lint_off UNUSEDSIGNAL
module storage_feeder #(
    parameter int unsigned DATA_W = 256
) (
    input  logic              clk,
    input  logic              flush,
    input  logic              in_valid,       // not for a command of no bytes
    output logic              in_ready,
    input  logic [31:0]       immediate,
    input  logic [31:0]       address,
    input  logic [31:0]       storage_length,
    input  logic [7:0]        after,
    input  logic [7:0]        gathered,       // inward jobs that are done
    output logic              read_ended,     // one cycle: a command with storage bytes needs storage no more
    input  logic              payload_valid,
    output logic              payload_ready,
    input  logic [DATA_W-1:0] payload,
    output logic              read_valid,
    input  logic              read_ready,
    output logic [31:0]       read_addr,
    input  logic              word_valid,
    output logic              word_ready,
    input  logic [DATA_W-1:0] word,
    output logic              out_valid,
    input  logic              out_ready,
    output logic [DATA_W-1:0] out
);
    localparam int unsigned BEAT = DATA_W / 8;
    localparam int unsigned LANE_W = $clog2(BEAT);

    typedef enum logic [1:0] { IDLE, IMMEDIATE, HOLD, STORAGE } state_e;
    state_e            state_reg;
    logic [31:0]       immediate_reg;   // left
    logic [31:0]       length_reg;      // of storage, left
    logic [31:0]       to_read_reg;     // bytes, counted from the start of the first word
    logic [31:0]       address_reg;     // next word to read
    logic [LANE_W-1:0] offset_reg;      // in the next word that comes
    logic [7:0]        after_reg;
    logic [7:0]        behind;

    logic              pack_valid;
    logic              pack_ready;
    logic              pack_last;
    logic [LANE_W:0]   pack_bytes;
    logic              ends_immediate;
    logic              ends_storage;
    logic              accept;

    assign ends_immediate = immediate_reg <= BEAT;
    assign ends_storage = length_reg <= BEAT - 32'(offset_reg);

    always_comb begin
        pack_valid = 1'b0;
        pack_last = ends_storage;
        pack_bytes = ends_storage ? length_reg[LANE_W:0] : (LANE_W + 1)'(BEAT) - (LANE_W + 1)'(offset_reg);
        if (state_reg == IMMEDIATE) begin
            pack_valid = payload_valid;
            pack_last = ends_immediate && length_reg == 0;
            pack_bytes = ends_immediate ? immediate_reg[LANE_W:0] : (LANE_W + 1)'(BEAT);
        end else if (state_reg == STORAGE) begin
            pack_valid = word_valid;
        end
    end

    assign accept = pack_valid && pack_ready;
    assign payload_ready = state_reg == IMMEDIATE && pack_ready;
    assign word_ready = state_reg == STORAGE && pack_ready;
    assign in_ready = state_reg == IDLE;
    assign read_valid = state_reg == STORAGE && to_read_reg != 0;
    assign read_addr = address_reg;
    assign read_ended = state_reg == STORAGE && accept && ends_storage;
    assign behind = gathered - after_reg;

    byte_pack #(.DATA_W(DATA_W), .USER_W(1)) pack (
        .clk, .rst(flush),
        .in_valid(pack_valid), .in_ready(pack_ready), .in_last(pack_last),
        .in_data(state_reg == IMMEDIATE ? payload : word), .in_offset(state_reg == IMMEDIATE ? '0 : offset_reg),
        .in_bytes(pack_bytes), .in_user(1'b0),
        .out_valid, .out_ready, .out_last(), .out_data(out), .out_bytes(), .out_user()
    );

    always_ff @(posedge clk) begin
        if (flush) begin
            state_reg <= IDLE;
        end else begin
            case (state_reg)
                IDLE: if (in_valid) begin
                    immediate_reg <= immediate;
                    length_reg <= storage_length;
                    to_read_reg <= storage_length + 32'(address[LANE_W-1:0]);
                    address_reg <= {address[31:LANE_W], {LANE_W{1'b0}}};
                    offset_reg <= address[LANE_W-1:0];
                    after_reg <= after;
                    state_reg <= storage_length != 0 ? HOLD : IMMEDIATE;
                end
                IMMEDIATE: if (accept) begin
                    immediate_reg <= immediate_reg - 32'(pack_bytes);
                    if (ends_immediate) state_reg <= length_reg != 0 ? STORAGE : IDLE;
                end
                HOLD: if (!behind[7]) state_reg <= immediate_reg != 0 ? IMMEDIATE : STORAGE;
                default: begin
                    if (read_valid && read_ready) begin
                        address_reg <= address_reg + BEAT;
                        to_read_reg <= to_read_reg <= BEAT ? '0 : to_read_reg - BEAT;
                    end
                    if (accept) begin
                        offset_reg <= '0;
                        length_reg <= length_reg - 32'(pack_bytes);
                        if (ends_storage) state_reg <= IDLE;
                    end
                end
            endcase
        end
    end
endmodule
// verilator lint_on PINCONNECTEMPTY
// verilator lint_on UNUSEDSIGNAL
