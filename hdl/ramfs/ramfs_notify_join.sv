// Messages of the file system in one stream, whole ones: LOCK, POLL, invalidations.
module ramfs_notify_join (
    input  logic  clk,
    input  logic  rst,
    stream_if.snk locks,
    stream_if.snk polls,
    stream_if.snk announced,
    stream_if.src out
);
    typedef enum logic [1:0] { ANNOUNCED, LOCKS, POLLS } path_e;
    logic  locked_reg;          // in the middle of a message, or on offer
    path_e path_reg;            // whose
    path_e path;

    assign path = locked_reg ? path_reg : locks.valid ? LOCKS : polls.valid ? POLLS : ANNOUNCED;
    always_comb begin
        case (path)
            LOCKS: begin
                out.valid = locks.valid;
                out.last = locks.last;
                out.data = locks.data;
                out.bytes = locks.bytes;
                out.user = locks.user;
            end
            POLLS: begin
                out.valid = polls.valid;
                out.last = polls.last;
                out.data = polls.data;
                out.bytes = polls.bytes;
                out.user = polls.user;
            end
            default: begin
                out.valid = announced.valid;
                out.last = announced.last;
                out.data = announced.data;
                out.bytes = announced.bytes;
                out.user = announced.user;
            end
        endcase
    end
    assign locks.ready = path == LOCKS && out.ready;
    assign polls.ready = path == POLLS && out.ready;
    assign announced.ready = path == ANNOUNCED && out.ready;

    always_ff @(posedge clk) begin
        if (out.valid) begin
            locked_reg <= !(out.ready && out.last);
            path_reg <= path;
        end
        if (rst) locked_reg <= 1'b0;
    end
endmodule
