// Takes messages of a byte stream from the device.
module stream_sink #(
    parameter int unsigned PORT = 0,
    parameter int unsigned DATA_W = 256
) (
    input logic   clk,
    input logic   rst,
    input logic   go,
    stream_if.snk in
);
    packet_sink #(.PORT(PORT), .DATA_W(DATA_W)) sink (
        .clk, .rst, .go,
        .valid(in.valid), .ready(in.ready), .last(in.last), .user(in.user), .data(in.data), .bytes(32'(in.bytes))
    );
endmodule
