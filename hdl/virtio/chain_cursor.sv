// Turns a range of a chain into pieces of host memory, one a segment. Behind the first window of a long chain it has
// the descriptors fetched again. If they changed so that the range no longer exists, that is reported as fatal and the
// cursor stands still until the device is reset.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module chain_cursor
    import endpoint_pkg::*;
    import pipeline_pkg::*;
#(
    parameter int unsigned CONTEXTS = 32,
    parameter cursor_e     CURSOR = CURSOR_HEADER
) (
    input  logic         clk,
    input  logic         flush,
    input  logic         range_valid,
    output logic         range_ready,
    input  range_t       range,
    output logic         piece_valid,
    input  logic         piece_ready,
    output piece_t       piece,
    output context_t     look_ctx,
    input  chain_info_t  look_info,
    input  position_t    look_resume,
    output slot_t        window_slot,
    output logic [3:0]   window_index,
    input  segment_t     window_segment,
    output logic         refetch_valid,
    input  logic         refetch_ready,
    output position_t    refetch,
    input  logic         refetched_valid,
    input  refetch_t     refetched,
    output logic         error_valid,
    input  logic         error_ready,
    output error_t       error
);
    typedef enum logic [2:0] { IDLE, LOOK, READ, SEGMENT, ASK, AWAIT, FAIL, DEAD } state_e;
    state_e      state_reg;
    range_t      range_reg;      // offset: bytes still to skip; length: bytes still to deliver
    slot_t       slot_reg;
    logic [4:0]  at_reg;
    logic [4:0]  segments_reg;
    logic        more_reg;
    position_t   position_reg;
    error_code_e code_reg;

    logic        skip;
    logic [31:0] rest;
    logic        last;

    assign skip = range_reg.offset >= 33'(window_segment.len);
    assign rest = window_segment.len - range_reg.offset[31:0];
    assign last = rest >= range_reg.length;

    assign range_ready = state_reg == IDLE;
    assign look_ctx = range_reg.ctx;
    assign window_slot = slot_reg;
    assign window_index = at_reg[3:0];
    assign piece_valid = state_reg == SEGMENT && !skip && window_segment.write == range_reg.write;
    assign piece.addr = window_segment.addr + 64'(range_reg.offset);
    assign piece.len = last ? range_reg.length : rest;
    assign piece.last = last;
    assign refetch_valid = state_reg == ASK;
    assign refetch = position_reg;
    assign error_valid = state_reg == FAIL;
    assign error = make_error(code_reg, 1'b1, position_reg.queue, position_reg.base);

    always_ff @(posedge clk) begin
        if (flush) begin
            state_reg <= IDLE;
        end else begin
            case (state_reg)
                IDLE: if (range_valid) begin
                    range_reg <= range;
                    slot_reg <= slot_t'(range.ctx);
                    at_reg <= '0;
                    state_reg <= LOOK;
                end
                LOOK: begin
                    segments_reg <= look_info.segments;
                    more_reg <= look_info.more;
                    position_reg <= look_resume;
                    state_reg <= READ;
                end
                READ: begin
                    code_reg <= ERR_CHAIN_LENGTH;
                    state_reg <= at_reg != segments_reg ? SEGMENT : more_reg ? ASK : FAIL;
                end
                SEGMENT: if (skip) begin
                    range_reg.offset <= range_reg.offset - 33'(window_segment.len);
                    at_reg <= at_reg + 1'b1;
                    state_reg <= READ;
                end else if (window_segment.write != range_reg.write) begin
                    code_reg <= ERR_DIRECTION;
                    state_reg <= FAIL;
                end else if (piece_ready) begin
                    range_reg.offset <= '0;
                    range_reg.length <= range_reg.length - rest;
                    at_reg <= at_reg + 1'b1;
                    state_reg <= last ? IDLE : READ;
                end
                ASK: if (refetch_ready) state_reg <= AWAIT;
                AWAIT: if (refetched_valid) begin
                    slot_reg <= slot_t'(CONTEXTS + 32'(CURSOR));
                    at_reg <= '0;
                    segments_reg <= refetched.segments;
                    more_reg <= refetched.more;
                    position_reg <= refetched.position;
                    state_reg <= READ;
                end
                FAIL: if (error_ready) state_reg <= DEAD;
                default: ;
            endcase
        end
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
