// Replies of the two paths in one stream, whole messages, the express path first.
module ramfs_reply_join (
    input  logic  clk,
    input  logic  rst,
    stream_if.snk main,
    stream_if.snk express,
    stream_if.src out
);
    logic locked_reg;           // in the middle of a message, or on offer
    logic express_reg;          // whose
    logic from_express;

    assign from_express = locked_reg ? express_reg : express.valid;
    assign out.valid = from_express ? express.valid : main.valid;
    assign out.last = from_express ? express.last : main.last;
    assign out.data = from_express ? express.data : main.data;
    assign out.bytes = from_express ? express.bytes : main.bytes;
    assign out.user = from_express ? express.user : main.user;
    assign express.ready = from_express && out.ready;
    assign main.ready = !from_express && out.ready;

    always_ff @(posedge clk) begin
        if (out.valid) begin
            locked_reg <= !(out.ready && out.last);
            express_reg <= from_express;
        end
        if (rst) locked_reg <= 1'b0;
    end
endmodule
