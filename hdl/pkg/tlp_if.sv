// A packet channel of whole transaction-layer packets: one packet a beat sequence, `hdr` counts on the first beat.
// It does not carry a byte count: the header's Length says how many dwords of `data` count.
//
// hdr:  DW0 in [127:96]; byte 0 of a DW in that DW's bits [31:24], as the PCIe tables draw it. A 3-DW header
//       leaves [31:0] zero.
// data: first payload DW in data[31:0] whatever the address, byte 0 of a DW in its bits [7:0].
// Once `valid` is high it stays, with everything stable, until `ready`.
interface tlp_if #(
    parameter int unsigned DATA_W = 256
);
    logic              valid;
    logic              ready;
    logic              last;
    logic [127:0]      hdr;
    logic [DATA_W-1:0] data;

    modport src(output valid, last, hdr, data, input ready);
    modport snk(input valid, last, hdr, data, output ready);
    modport mon(input valid, last, hdr, data, ready);
endinterface
