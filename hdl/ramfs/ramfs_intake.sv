// Takes requests from the endpoint. FORGET, BATCH_FORGET and INTERRUPT go to the express path, whatever their queue;
// all others wait in line, so many of them that none keeps an express request behind it from coming in.
//
// The other fields of the first 8 bytes do not count here.
// verilator lint_off UNUSEDSIGNAL
// verilator lint_off PINCONNECTEMPTY
module ramfs_intake
    import endpoint_pkg::*, fuse_pkg::*, ramfs_message_pkg::*, ramfs_row_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned MESSAGES = 32,           // a power of two, not below the endpoint's CONTEXTS
    localparam int unsigned WORDS = HEAD_BYTES * 8 / DATA_W,
    localparam int unsigned WORD_W = $clog2(WORDS)
) (
    input  logic              clk,
    input  logic              rst,
    stream_if.snk             engine_request,
    // The oldest of the line; its words one cycle after their address.
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
    output logic [DATA_W-1:0] express_data
);
    localparam int unsigned MESSAGE_W = $clog2(MESSAGES);
    typedef logic [MESSAGE_W-1:0] place_t;

    logic [DATA_W-1:0] line_words [MESSAGES * WORDS];
    logic [DATA_W-1:0] express_words [WORDS];

    place_t            tail_reg;            // where the next message of the line goes
    place_t            head_reg;
    logic [WORD_W-1:0] word_reg;
    logic              first_reg;
    logic              to_express_reg;
    engine_request_t   user_reg;

    in_header_start_t  start;
    engine_request_t   user;
    logic              to_express;
    logic              line_ready;
    logic              accept;
    logic              whole;               // a message has come in whole

    assign user = first_reg ? engine_request_t'(engine_request.user) : user_reg;
    assign start = engine_request.data[63:0];
    assign to_express = !first_reg ? to_express_reg : user.head_bytes >= 16'(FUSE_IN_HEADER_BYTES) &&
        (start.opcode == OP_FORGET || start.opcode == OP_BATCH_FORGET || start.opcode == OP_INTERRUPT);
    assign engine_request.ready = to_express ? !express_valid : line_ready;
    assign accept = engine_request.valid && engine_request.ready;
    assign whole = accept && engine_request.last;

    word_fifo #(.WIDTH($bits(engine_request_t)), .DEPTH(MESSAGES)) line (
        .clk, .rst, .in_valid(whole && !to_express), .in_ready(line_ready), .in_data(user),
        .out_valid(main_valid), .out_ready(main_take), .out_data(main), .count()
    );

    always_ff @(posedge clk) begin
        if (accept && !to_express) line_words[{tail_reg, word_reg}] <= engine_request.data;
        if (accept && to_express) express_words[word_reg] <= engine_request.data;
        main_data <= line_words[{head_reg, main_addr}];
        express_data <= express_words[express_addr];
    end

    always_ff @(posedge clk) begin
        if (accept) begin
            word_reg <= engine_request.last ? '0 : word_reg + 1'b1;
            first_reg <= engine_request.last;
            to_express_reg <= to_express;
            user_reg <= user;
        end
        if (whole && to_express) begin
            express_valid <= 1'b1;
            express <= user;
        end else if (express_take) begin
            express_valid <= 1'b0;
        end
        if (whole && !to_express) tail_reg <= tail_reg + 1'b1;
        if (main_valid && main_take) head_reg <= head_reg + 1'b1;
        if (rst) begin
            word_reg <= '0;
            first_reg <= 1'b1;
            express_valid <= 1'b0;
            tail_reg <= '0;
            head_reg <= '0;
        end
    end
endmodule
// verilator lint_on PINCONNECTEMPTY
// verilator lint_on UNUSEDSIGNAL
