// Puts messages of a byte stream on the device's pins.
module stream_source #(
    parameter int unsigned PORT = 0,
    parameter int unsigned DATA_W = 256
) (
    input logic   clk,
    input logic   rst,
    input logic   go,
    stream_if.src out
);
    localparam int unsigned BYTES_W = $clog2(DATA_W / 8) + 1;

    logic [7:0] bytes;

    packet_source #(.PORT(PORT), .DATA_W(DATA_W)) source (
        .clk, .rst, .go,
        .valid(out.valid), .ready(out.ready), .last(out.last), .user(out.user), .data(out.data), .bytes
    );
    assign out.bytes = bytes[BYTES_W-1:0];
endmodule
