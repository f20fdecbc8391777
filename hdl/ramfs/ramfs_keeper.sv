// Hands a NOTIFY_REPLY to the DPU: the words of the message that came with the request, unless another one is kept.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module ramfs_keeper
    import endpoint_pkg::*, ramfs_message_pkg::HEAD_BYTES;
#(
    parameter int unsigned DATA_W = 256,
    localparam int unsigned WORD_W = $clog2(HEAD_BYTES * 8 / DATA_W)
) (
    input  logic              clk,
    input  logic              rst,
    input  logic              start,
    output logic              done,        // one cycle
    input  engine_request_t   request,
    output logic              reads,       // words of the message, one cycle after their address
    output logic [WORD_W-1:0] addr,
    input  logic [DATA_W-1:0] data,
    retrieved_if.engine       kept
);
    localparam int unsigned BEAT = DATA_W / 8;

    typedef enum logic [1:0] { IDLE, READ, PUT } state_e;
    state_e            state_reg;
    logic [WORD_W-1:0] word_reg;
    logic [10:0]       bytes;
    logic              last;
    assign bytes = request.head_bytes[10:0];
    assign last = (32'(word_reg) + 1) * BEAT >= 32'(bytes);

    assign reads = state_reg != IDLE;
    assign addr = word_reg;
    assign kept.write = state_reg == PUT;
    assign kept.addr = 6'(word_reg);
    assign kept.word = data;
    assign kept.bytes = bytes;
    assign kept.done = state_reg == PUT && last;
    assign kept.lost = start && kept.full;
    assign done = kept.done || kept.lost;

    always_ff @(posedge clk) begin
        case (state_reg)
            IDLE: begin
                word_reg <= '0;
                if (start && !kept.full) state_reg <= READ;
            end
            READ: state_reg <= PUT;
            default: begin
                word_reg <= word_reg + 1'b1;
                state_reg <= last ? IDLE : READ;
            end
        endcase
        if (rst) state_reg <= IDLE;
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
