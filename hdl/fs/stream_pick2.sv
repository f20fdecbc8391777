// Takes a stream from one of two givers; the other one waits. `second` changes only between messages.
module stream_pick2 #(
    parameter int unsigned DATA_W = 256
) (
    input  logic  second,
    stream_if.snk in0,
    stream_if.snk in1,
    stream_if.src out
);
    assign out.valid = second ? in1.valid : in0.valid;
    assign out.last = second ? in1.last : in0.last;
    assign out.data = second ? in1.data : in0.data;
    assign out.bytes = second ? in1.bytes : in0.bytes;
    assign out.user = second ? in1.user : in0.user;
    assign in0.ready = out.ready && !second;
    assign in1.ready = out.ready && second;

    if (DATA_W % 128 != 0) begin : g_check
        $fatal(1, "stream_pick2: DATA_W is %0d, must be a multiple of 128", DATA_W);
    end
endmodule
