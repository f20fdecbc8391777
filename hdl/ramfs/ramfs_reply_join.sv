// Replies of all paths in one stream, whole messages: first the express path, then requests that waited for a lock.
module ramfs_reply_join (
    input  logic  clk,
    input  logic  rst,
    stream_if.snk main,
    stream_if.snk locks,
    stream_if.snk express,
    stream_if.src out
);
    typedef enum logic [1:0] { MAIN, LOCKS, EXPRESS } path_e;
    logic  locked_reg;          // in the middle of a message, or on offer
    path_e path_reg;            // whose
    path_e path;

    assign path = locked_reg ? path_reg : express.valid ? EXPRESS : locks.valid ? LOCKS : MAIN;
    always_comb begin
        case (path)
            EXPRESS: begin
                out.valid = express.valid;
                out.last = express.last;
                out.data = express.data;
                out.bytes = express.bytes;
                out.user = express.user;
            end
            LOCKS: begin
                out.valid = locks.valid;
                out.last = locks.last;
                out.data = locks.data;
                out.bytes = locks.bytes;
                out.user = locks.user;
            end
            default: begin
                out.valid = main.valid;
                out.last = main.last;
                out.data = main.data;
                out.bytes = main.bytes;
                out.user = main.user;
            end
        endcase
    end
    assign express.ready = path == EXPRESS && out.ready;
    assign locks.ready = path == LOCKS && out.ready;
    assign main.ready = path == MAIN && out.ready;

    always_ff @(posedge clk) begin
        if (out.valid) begin
            locked_reg <= !(out.ready && out.last);
            path_reg <= path;
        end
        if (rst) locked_reg <= 1'b0;
    end
endmodule
