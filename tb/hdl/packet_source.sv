// Puts packets of the bridge on the device's pins. Shared by tlp_source and stream_source.
// One beat a cycle; between beats `valid` pauses while `go` is low.
module packet_source #(
    parameter int unsigned PORT = 0,
    parameter int unsigned DATA_W = 256
) (
    input  logic              clk,
    input  logic              rst,
    input  logic              go,      // the bridge has a beat for this port, and the throttle lets it pass
    output logic              valid,
    input  logic              ready,
    output logic              last,
    output logic [127:0]      user,
    output logic [DATA_W-1:0] data,
    output logic [7:0]        bytes
);
    import bridge_pkg::*;

    user_t      next_user;
    beat_t      next_data;
    logic [8:0] next_last_bytes;

    always @(posedge clk) begin
        if (rst) begin
            valid <= 1'b0;
        end else if (!valid || ready) begin
            if (valid && last) dpi_source_done(PORT, longint'($time));
            valid <= go;
            if (go) begin
                next_last_bytes = 9'(dpi_source_beat(PORT, DATA_W / 8, next_user, next_data));
                user <= next_user;
                data <= next_data[DATA_W-1:0];
                {last, bytes} <= next_last_bytes;
            end
        end
    end
endmodule
