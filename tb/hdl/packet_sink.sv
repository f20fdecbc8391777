// Takes beats of packets from the device and hands them to the bridge. Shared by tlp_sink and stream_sink.
module packet_sink #(
    parameter int unsigned PORT = 0,
    parameter int unsigned DATA_W = 256
) (
    input  logic              clk,
    input  logic              rst,
    input  logic              go,      // throttle: a beat may be taken in this cycle
    input  logic              valid,
    output logic              ready,
    input  logic              last,
    input  logic [127:0]      user,
    input  logic [DATA_W-1:0] data,
    input  int unsigned       bytes
);
    import bridge_pkg::*;

    assign ready = go;

    always @(posedge clk) begin
        if (!rst && valid && go) dpi_sink_beat(PORT, longint'($time), user, beat_t'(data), bytes, last);
    end
endmodule
