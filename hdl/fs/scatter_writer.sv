// Writes contiguous bytes to a range of a chain, a command and a message to the write lane for each piece, and then
// the used entry if the command wants one.
//
// Not every output is of use.
// verilator lint_off PINCONNECTEMPTY
module scatter_writer
    import endpoint_pkg::*;
    import pipeline_pkg::*;
#(
    parameter int unsigned DATA_W = 256
) (
    input  logic              clk,
    input  logic              flush,
    input  logic              in_valid,
    output logic              in_ready,
    input  scatter_t          in,
    input  logic              word_valid,      // `length` bytes, every message from a new word on
    output logic              word_ready,
    input  logic [DATA_W-1:0] word,
    output logic              range_valid,
    input  logic              range_ready,
    output range_t            range,
    input  logic              piece_valid,
    output logic              piece_ready,
    input  piece_t            piece,
    output logic              active,          // a command for lane `lane` is under way
    output lane_e             lane,
    output logic              cmd_valid,
    input  logic              cmd_ready,
    output write_cmd_t        cmd,
    stream_if.src             data,
    output logic              job_valid,       // a command without a used entry is done
    input  logic              job_ready,
    output job_end_t          job
);
    localparam int unsigned BEAT = DATA_W / 8;
    localparam int unsigned LANE_W = $clog2(BEAT);

    typedef enum logic [2:0] { IDLE, RANGE, PIECE, COMMAND, DATA, USED, JOB } state_e;
    state_e      state_reg;
    scatter_t    now_reg;
    logic [63:0] addr_reg;
    logic [31:0] left_reg;
    logic        last_reg;
    logic        have;
    logic        take;
    logic        beat_last;

    assign in_ready = state_reg == IDLE;
    assign range_valid = state_reg == RANGE;
    assign range.ctx = now_reg.ctx;
    assign range.write = 1'b1;
    assign range.offset = now_reg.offset;
    assign range.length = now_reg.length;
    assign piece_ready = state_reg == PIECE;
    assign active = state_reg != IDLE && state_reg != JOB;
    assign lane = now_reg.lane;

    // A piece is announced only when its bytes have begun to come.
    assign cmd_valid = (state_reg == COMMAND && have) || state_reg == USED;
    assign cmd.kind = state_reg == USED ? WRITE_USED : WRITE_DATA;
    assign cmd.queue = now_reg.queue;
    assign cmd.ctx = now_reg.ctx;
    assign cmd.addr = addr_reg;
    assign cmd.bytes = left_reg;
    assign cmd.id = now_reg.id;
    assign cmd.slots = now_reg.slots;
    assign cmd.len = now_reg.used_len;

    assign beat_last = left_reg <= BEAT;
    assign data.valid = state_reg == DATA && have;
    assign data.last = beat_last;
    assign data.bytes = beat_last ? left_reg[LANE_W:0] : (LANE_W + 1)'(BEAT);
    assign data.user = '0;
    assign take = data.valid && data.ready;

    byte_unpack #(.DATA_W(DATA_W)) unpack (
        .clk, .rst(flush),
        .in_valid(word_valid), .in_ready(word_ready), .in_data(word),
        .select(state_reg == DATA), .take, .offset('0), .bytes(data.bytes), .finish(last_reg && beat_last),
        .have, .data(data.data), .held(), .position()
    );

    assign job_valid = state_reg == JOB;
    assign job.ctx = now_reg.ctx;
    assign job.result = JOB_OK;

    always_ff @(posedge clk) begin
        if (flush) begin
            state_reg <= IDLE;
        end else begin
            case (state_reg)
                IDLE: if (in_valid) begin
                    now_reg <= in;
                    state_reg <= in.length != 0 ? RANGE : in.used ? USED : JOB;
                end
                RANGE: if (range_ready) state_reg <= PIECE;
                PIECE: if (piece_valid) begin
                    addr_reg <= piece.addr;
                    left_reg <= piece.len;
                    last_reg <= piece.last;
                    state_reg <= COMMAND;
                end
                COMMAND: if (have && cmd_ready) state_reg <= DATA;
                DATA: if (take) begin
                    left_reg <= left_reg - 32'(data.bytes);
                    if (beat_last) state_reg <= !last_reg ? PIECE : now_reg.used ? USED : JOB;
                end
                USED: if (cmd_ready) state_reg <= IDLE;
                default: if (job_ready) state_reg <= IDLE;
            endcase
        end
    end
endmodule
// verilator lint_on PINCONNECTEMPTY
