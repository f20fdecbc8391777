// Takes requests from the endpoint. FORGET, BATCH_FORGET and INTERRUPT go to the express path, whatever their queue;
// all others wait in line, so many of them that none keeps an express request behind it from coming in. The request of
// the DPU, one at a time, has a place of its own for that reason, and is the next one that begins.
//
// The other fields of the first 8 bytes do not count here.
// verilator lint_off UNUSEDSIGNAL
// verilator lint_off PINCONNECTEMPTY
module ramfs_intake
    import endpoint_pkg::*, fuse_pkg::*, ramfs_core_pkg::is_of_dpu, ramfs_message_pkg::*, ramfs_row_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned MESSAGES = 32,           // a power of two, not below the endpoint's CONTEXTS
    localparam int unsigned WORDS = HEAD_BYTES * 8 / DATA_W,
    localparam int unsigned WORD_W = $clog2(WORDS)
) (
    input  logic              clk,
    input  logic              rst,
    stream_if.snk             engine_request,
    // The next one; its words one cycle after their address.
    output logic              main_valid,
    input  logic              main_take,
    output engine_request_t   main,
    input  logic [WORD_W-1:0] main_addr,
    output logic [DATA_W-1:0] main_data,
    // The express request.
    output logic              express_valid,
    input  logic              express_take,
    output engine_request_t   express,
    input  logic [WORD_W-1:0] express_addr,
    output logic [DATA_W-1:0] express_data,
    // Whether all those are through that were here at `mark`.
    input  logic              mark,
    output logic              passed
);
    localparam int unsigned MESSAGE_W = $clog2(MESSAGES);
    typedef logic [MESSAGE_W-1:0] place_t;

    logic [DATA_W-1:0] line_words [MESSAGES * WORDS];
    logic [DATA_W-1:0] express_words [WORDS];
    logic [DATA_W-1:0] dpu_words [WORDS];

    typedef enum logic [1:0] { TO_LINE, TO_EXPRESS, TO_DPU } place_e;

    place_t            tail_reg;            // where the next message of the line goes
    place_t            head_reg;
    logic [WORD_W-1:0] word_reg;
    logic              first_reg;
    place_e            to_reg;
    engine_request_t   user_reg;

    in_header_start_t  start;
    engine_request_t   user;
    place_e            to;
    logic              line_ready;
    logic              line_valid;
    logic              line_take;
    logic [MESSAGE_W:0] line_count;
    logic [MESSAGE_W:0] ahead_reg;          // messages of the line that were here at `mark`
    logic              express_ahead_reg;
    logic              dpu_valid_reg;
    logic              dpu_next_reg;        // it is on, or the next one
    engine_request_t   dpu_reg;
    engine_request_t   line_request;
    logic [DATA_W-1:0] line_data;
    logic [DATA_W-1:0] dpu_data;
    logic              accept;
    logic              whole;               // a message has come in whole

    assign user = first_reg ? engine_request_t'(engine_request.user) : user_reg;
    assign start = engine_request.data[63:0];
    always_comb begin
        to = to_reg;
        if (first_reg) begin
            to = TO_LINE;
            if (is_of_dpu(user)) to = TO_DPU;
            else if (user.head_bytes >= 16'(FUSE_IN_HEADER_BYTES) && (start.opcode == OP_FORGET ||
                     start.opcode == OP_BATCH_FORGET || start.opcode == OP_INTERRUPT)) to = TO_EXPRESS;
        end
    end
    assign engine_request.ready = to == TO_EXPRESS ? !express_valid : to == TO_DPU ? !dpu_valid_reg : line_ready;
    assign accept = engine_request.valid && engine_request.ready;
    assign whole = accept && engine_request.last;

    word_fifo #(.WIDTH($bits(engine_request_t)), .DEPTH(MESSAGES)) line (
        .clk, .rst, .in_valid(whole && to == TO_LINE), .in_ready(line_ready), .in_data(user),
        .out_valid(line_valid), .out_ready(line_take), .out_data(line_request), .count(line_count)
    );
    assign main_valid = dpu_next_reg || line_valid;
    assign main = dpu_next_reg ? dpu_reg : line_request;
    assign main_data = dpu_next_reg ? dpu_data : line_data;
    assign line_take = main_take && !dpu_next_reg;

    always_ff @(posedge clk) begin
        if (accept && to == TO_LINE) line_words[{tail_reg, word_reg}] <= engine_request.data;
        if (accept && to == TO_EXPRESS) express_words[word_reg] <= engine_request.data;
        if (accept && to == TO_DPU) dpu_words[word_reg] <= engine_request.data;
        line_data <= line_words[{head_reg, main_addr}];
        dpu_data <= dpu_words[main_addr];
        express_data <= express_words[express_addr];
    end

    assign passed = ahead_reg == 0 && !express_ahead_reg;
    always_ff @(posedge clk) begin
        if (mark) ahead_reg <= line_count - (MESSAGE_W + 1)'(line_valid && line_take);
        else if (ahead_reg != 0 && line_valid && line_take) ahead_reg <= ahead_reg - 1'b1;
        if (mark) express_ahead_reg <= express_valid && !express_take;
        else if (express_take) express_ahead_reg <= 1'b0;
        if (rst) begin
            ahead_reg <= '0;
            express_ahead_reg <= 1'b0;
        end
    end

    always_ff @(posedge clk) begin
        if (accept) begin
            word_reg <= engine_request.last ? '0 : word_reg + 1'b1;
            first_reg <= engine_request.last;
            to_reg <= to;
            user_reg <= user;
        end
        if (whole && to == TO_EXPRESS) begin
            express_valid <= 1'b1;
            express <= user;
        end else if (express_take) begin
            express_valid <= 1'b0;
        end
        if (whole && to == TO_LINE) tail_reg <= tail_reg + 1'b1;
        if (line_valid && line_take) head_reg <= head_reg + 1'b1;
        // Who is next changes only where nobody is.
        if (whole && to == TO_DPU) begin
            dpu_valid_reg <= 1'b1;
            dpu_reg <= user;
        end
        if (main_take && dpu_next_reg) begin
            dpu_valid_reg <= 1'b0;
            dpu_next_reg <= 1'b0;
        end else if (!main_valid || main_take) begin
            dpu_next_reg <= dpu_valid_reg;
        end
        if (rst) begin
            word_reg <= '0;
            first_reg <= 1'b1;
            express_valid <= 1'b0;
            dpu_valid_reg <= 1'b0;
            dpu_next_reg <= 1'b0;
            tail_reg <= '0;
            head_reg <= '0;
        end
    end
endmodule
// verilator lint_on PINCONNECTEMPTY
// verilator lint_on UNUSEDSIGNAL
