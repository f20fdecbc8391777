// Puts transaction-layer packets on the device's pins.
module tlp_source #(
    parameter int unsigned PORT = 0,
    parameter int unsigned DATA_W = 256
) (
    input logic clk,
    input logic rst,
    input logic go,
    tlp_if.src  out
);
    packet_source #(.PORT(PORT), .DATA_W(DATA_W)) source (
        .clk, .rst, .go,
        .valid(out.valid), .ready(out.ready), .last(out.last), .user(out.hdr), .data(out.data), .bytes()
    );
endmodule
