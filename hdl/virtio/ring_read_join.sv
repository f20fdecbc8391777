// Two users of the ring read client: answers come in the order of the requests.
module ring_read_join
    import endpoint_pkg::*;
(
    input  logic            clk,
    input  logic            flush,
    input  logic [1:0]      user_valid,
    output logic [1:0]      user_ready,
    input  read_req_t [1:0] user_req,
    stream_if.src           user_rsp [2],
    output logic            req_valid,
    input  logic            req_ready,
    output read_req_t       req,
    stream_if.snk           rsp
);
    logic pick;
    logic held_reg;
    logic hold_reg;
    logic last_reg;
    logic order_ready;
    logic order_valid;
    logic order;

    // A request that was shown stays until it is taken.
    assign pick = hold_reg ? held_reg : user_valid[~last_reg] ? ~last_reg : last_reg;
    assign req_valid = user_valid[pick] && order_ready;
    assign req = user_req[pick];
    assign user_ready[0] = req_ready && order_ready && !pick;
    assign user_ready[1] = req_ready && order_ready && pick;

    always_ff @(posedge clk) begin
        if (flush) begin
            hold_reg <= 1'b0;
            last_reg <= 1'b0;
        end else begin
            hold_reg <= req_valid && !req_ready;
            held_reg <= pick;
            if (req_valid && req_ready) last_reg <= pick;
        end
    end

    sync_fifo #(.WIDTH(1), .DEPTH(64)) order_fifo (
        .clk, .rst(flush),
        .in_valid(req_valid && req_ready), .in_ready(order_ready), .in_data(pick),
        .out_valid(order_valid), .out_ready(rsp.valid && rsp.ready && rsp.last), .out_data(order)
    );

    for (genvar u = 0; u < 2; u++) begin : gen_user
        assign user_rsp[u].valid = rsp.valid && order_valid && order == 1'(u);
        assign user_rsp[u].last = rsp.last;
        assign user_rsp[u].data = rsp.data;
        assign user_rsp[u].bytes = rsp.bytes;
        assign user_rsp[u].user = rsp.user;
    end
    assign rsp.ready = order_valid && (order ? user_rsp[1].ready : user_rsp[0].ready);
endmodule
