// Leads a stream to one of two takers. `second` changes only between messages.
module stream_fork2 #(
    parameter int unsigned DATA_W = 256
) (
    input  logic  second,
    stream_if.snk in,
    stream_if.src out0,
    stream_if.src out1
);
    assign out0.valid = in.valid && !second;
    assign out0.last = in.last;
    assign out0.data = in.data;
    assign out0.bytes = in.bytes;
    assign out0.user = in.user;
    assign out1.valid = in.valid && second;
    assign out1.last = in.last;
    assign out1.data = in.data;
    assign out1.bytes = in.bytes;
    assign out1.user = in.user;
    assign in.ready = second ? out1.ready : out0.ready;

    if (DATA_W % 128 != 0) begin : g_check
        $fatal(1, "stream_fork2: DATA_W is %0d, must be a multiple of 128", DATA_W);
    end
endmodule
