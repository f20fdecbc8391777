// Takes transaction-layer packets from the device; the header says how many bytes of them count.
module tlp_sink #(
    parameter int unsigned PORT = 0,
    parameter int unsigned DATA_W = 256
) (
    input logic clk,
    input logic rst,
    input logic go,
    tlp_if.snk  in
);
    packet_sink #(.PORT(PORT), .DATA_W(DATA_W)) sink (
        .clk, .rst, .go,
        .valid(in.valid), .ready(in.ready), .last(in.last), .user(in.hdr), .data(in.data), .bytes(DATA_W / 8)
    );
endmodule
