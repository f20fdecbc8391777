// The express path: FORGET, BATCH_FORGET and INTERRUPT, answered while an operation of the main path may be on. A
// message is read in pieces of 16 bytes: its header, the structure, then the elements of a BATCH_FORGET.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module ramfs_express
    import endpoint_pkg::*, ramfs_pkg::*, ramfs_core_pkg::*, ramfs_message_pkg::*, ramfs_row_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned INODES = 1024,
    localparam int unsigned WORD_W = $clog2(HEAD_BYTES * 8 / DATA_W)
) (
    input  logic              clk,
    input  logic              rst,
    input  logic              ready,            // tables are set up
    input  epoch_t            epoch,
    input  logic              active,           // there is a session
    input  logic              ending,           // not for long
    input  logic              valid,
    output logic              take,
    input  engine_request_t   request,
    output logic [WORD_W-1:0] addr,
    input  logic [DATA_W-1:0] data,
    output logic              forget_valid,
    input  logic              forget_ready,
    output forget_t           forget,
    output logic              interrupt_valid,
    output logic [63:0]       interrupt_id,     // `unique` of the request that may wait
    input  logic              interrupt_done,
    input  logic              interrupt_found,
    stream_if.src             reply
);
    localparam int unsigned PIECES = DATA_W / 128;          // in a word
    localparam int unsigned PIECE_W = $clog2(HEAD_BYTES / 16);
    localparam logic [15:0] FORGET_BYTES = 16'd48;          // header and structure of any of the three

    typedef logic [PIECE_W-1:0] piece_t;
    typedef struct packed {
        logic [63:0] high;
        logic [63:0] low;
    } words_t;

    typedef enum logic [2:0] { IDLE, FETCH, EXAMINE, FORGET, INTERRUPT, REPLY } state_e;
    state_e       state_reg;
    piece_t       piece_reg;
    words_t       words;
    logic [31:0]  left_reg;             // elements of BATCH_FORGET
    logic [63:0]  low_reg;              // the lower half of the piece before, or nodeid
    logic [31:0]  opcode_reg;
    logic [63:0]  unique_reg;
    verdict_t     verdict_reg;
    logic         ended_reg;            // its session is over

    epoch_t age;
    assign age = epoch - epoch_t'(request.epoch);

    if (PIECES == 1) begin : g_whole
        assign words = data;
    end else begin : g_part
        assign words = data[128 * piece_reg[$clog2(PIECES)-1:0] +: 128];
    end
    assign addr = WORD_W'(piece_reg >> $clog2(PIECES));

    // ---- form ----

    fuse_pkg::in_header_start_t start;
    assign start = words.low;

    logic     interrupt;
    verdict_t verdict;                  // with the first piece
    assign interrupt = start.opcode == OP_INTERRUPT;
    always_comb begin
        verdict = '0;
        if (!interrupt || request.writable < 32'd16) verdict.mute = 1'b1;
        else if (start.len != request.readable) verdict.error = EINVAL;
        else if (!active) verdict.error = EIO;
        else if (request.readable < 32'(FORGET_BYTES)) verdict.error = EINVAL;
        else verdict.error = EAGAIN;    // unless it waits for a lock
    end

    logic works;                        // it may have an effect
    assign works = (!interrupt || (!verdict.mute && verdict.error == EAGAIN)) && active && !ending &&
        start.len == request.readable && request.readable >= 32'(FORGET_BYTES);

    // What the message holds, and what of it came along.
    logic [31:0] held;
    assign held = (32'(request.head_bytes) - 32'd48) >> 4;

    // ---- inodes ----

    logic [63:0] id;
    logic [63:0] count;
    assign id = opcode_reg == OP_BATCH_FORGET ? words.low : low_reg;
    assign count = words.high;

    assign forget_valid = state_reg == FORGET;
    assign interrupt_valid = state_reg == INTERRUPT;

    out_header_t head;
    assign head.len = 32'd16;
    assign head.error = -32'(verdict_reg.error);
    assign head.unique_id = unique_reg;

    engine_reply_t user;
    always_comb begin
        user = '0;
        user.ctx = request.ctx;
        user.epoch = request.epoch;
        user.immediate = verdict_reg.mute ? '0 : 32'd16;
        if (verdict_reg.mute) user.kind = opcode_reg == OP_INTERRUPT ? 8'd2 : 8'd1;
    end
    assign reply.valid = state_reg == REPLY;
    assign reply.last = 1'b1;
    assign reply.data = DATA_W'(head);
    assign reply.bytes = verdict_reg.mute ? '0 : ($clog2(DATA_W / 8) + 1)'(16);
    assign reply.user = user;
    assign take = state_reg == REPLY ? reply.ready : state_reg == IDLE && valid && age != 0 && !age[3];

    always_ff @(posedge clk) begin
        if (!active || ending || age != 0) ended_reg <= 1'b1;
        case (state_reg)
            IDLE: begin
                piece_reg <= '0;
                ended_reg <= 1'b0;
                if (valid && ready && age == 0) state_reg <= FETCH;
            end
            FETCH: state_reg <= EXAMINE;
            EXAMINE: begin
                piece_reg <= piece_reg + 1'b1;
                state_reg <= FETCH;
                case (piece_reg)
                    PIECE_W'(0): begin
                        opcode_reg <= start.opcode;
                        unique_reg <= words.high;
                        verdict_reg <= verdict;
                        if (!works) state_reg <= REPLY;
                    end
                    PIECE_W'(1): low_reg <= words.low;
                    PIECE_W'(2): begin
                        left_reg <= held < words.high[31:0] ? held : words.high[31:0];
                        if (opcode_reg == OP_FORGET) state_reg <= FORGET;
                        if (opcode_reg == OP_INTERRUPT) state_reg <= INTERRUPT;
                    end
                    default: state_reg <= left_reg == 0 ? REPLY : FORGET;
                endcase
                forget.slot <= id[11:0];
                forget.generation <= id[63:32];
                forget.count <= count;
                interrupt_id <= words.high;
                if (piece_reg >= PIECE_W'(2) && id[31:0] >= INODES) forget.count <= '0;
                if (ended_reg) state_reg <= REPLY;
            end
            FORGET: if (forget_ready) begin
                left_reg <= left_reg - 1'b1;
                state_reg <= opcode_reg == OP_FORGET || left_reg == 32'd1 ? REPLY : FETCH;
            end
            INTERRUPT: if (interrupt_done) begin
                if (interrupt_found) verdict_reg.error <= OK;
                state_reg <= REPLY;
            end
            default: if (reply.ready) state_reg <= IDLE;
        endcase
        if (rst) state_reg <= IDLE;
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
