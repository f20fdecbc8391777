// Rules of tlp_if and stream_if, checked on one channel. A violation is reported to the bridge: Python ends the run
// with the message.

// Once `valid` is high it stays, with everything stable, until `ready`.
module stable_assertion #(
    parameter string       NAME = "",
    parameter int unsigned WIDTH = 1
) (
    input logic             clk,
    input logic             rst,
    input logic             valid,
    input logic             ready,
    input logic [WIDTH-1:0] content
);
    logic             held;
    logic [WIDTH-1:0] held_content;

    always @(posedge clk) begin
        held <= !rst && valid && !ready;
        if (valid && !ready) held_content <= content;
        if (!rst && held) begin
            if (!valid) bridge_pkg::dpi_fail($sformatf("%s: valid fell before ready", NAME));
            else if (content != held_content) bridge_pkg::dpi_fail($sformatf("%s: changed before ready", NAME));
        end
    end
endmodule

// A packet channel. NP_RULE: the channel carries requests of the device, for which `np_ok` counts.
// FORM_RULE: the device sends the headers (what the host sends may be malformed on purpose).
// STALL_LIMIT: cycles for which `ready` may stay low while a packet waits (0: any number).
module tlp_assertions #(
    parameter string       NAME = "",
    parameter int unsigned DATA_W = 256,
    parameter bit          NP_RULE = 1'b0,
    parameter bit          FORM_RULE = 1'b0,
    parameter int unsigned STALL_LIMIT = 0
) (
    input logic clk,
    input logic rst,
    input logic np_ok,
    tlp_if.mon  channel
);
    import tlp_rules_pkg::*;

    localparam int unsigned BEAT_DWORDS = DATA_W / 32;

    logic        in_packet;
    logic        offered;       // the packet was on the pins in the cycle before
    logic        np_ok_before;
    logic [10:0] dwords_left;
    int unsigned stalled;

    stable_assertion #(.NAME(NAME), .WIDTH(1 + 128)) stable_header (
        .clk, .rst, .valid(channel.valid), .ready(channel.ready),
        .content({channel.last, in_packet ? 128'b0 : channel.hdr})
    );
    stable_assertion #(.NAME(NAME), .WIDTH(DATA_W)) stable_data (
        .clk, .rst, .valid(channel.valid), .ready(channel.ready),
        .content(in_packet || channel.hdr[126] ? channel.data : '0)
    );

    logic [10:0] left;
    always @(posedge clk) begin
        np_ok_before <= np_ok;
        if (rst) begin
            in_packet <= 1'b0;
            offered <= 1'b0;
            stalled <= 0;
        end else begin
            offered <= channel.valid && !channel.ready;
            stalled <= channel.valid && !channel.ready ? stalled + 1 : 0;
            if (STALL_LIMIT != 0 && stalled == STALL_LIMIT)
                bridge_pkg::dpi_fail($sformatf("%s: ready low for %0d cycles", NAME, STALL_LIMIT));
            if (NP_RULE && channel.valid && !in_packet && !offered && !np_ok && !np_ok_before &&
                is_non_posted(channel.hdr))
                bridge_pkg::dpi_fail($sformatf("%s: non-posted request begun while np_ok is low", NAME));
            if (FORM_RULE && channel.valid && !in_packet && !offered && !well_formed(channel.hdr))
                bridge_pkg::dpi_fail($sformatf("%s: header %h has a prefix, digest, long tag or dword too many",
                    NAME, channel.hdr));
            if (channel.valid && channel.ready) begin
                left = in_packet ? dwords_left : payload_dwords(channel.hdr);
                if (channel.last != (left <= 11'(BEAT_DWORDS)))
                    bridge_pkg::dpi_fail($sformatf(
                        "%s: header says %0d dwords from this beat on, last is %b (a beat is %0d dwords)",
                        NAME, left, channel.last, BEAT_DWORDS));
                dwords_left <= left - 11'(BEAT_DWORDS);
                in_packet <= !channel.last;
            end
        end
    end
endmodule

// A byte stream.
module stream_assertions #(
    parameter string       NAME = "",
    parameter int unsigned DATA_W = 256
) (
    input logic   clk,
    input logic   rst,
    stream_if.mon channel
);
    localparam int unsigned BEAT_BYTES = DATA_W / 8;

    logic in_packet;

    stable_assertion #(.NAME(NAME), .WIDTH(1 + 8 + 128)) stable_header (
        .clk, .rst, .valid(channel.valid), .ready(channel.ready),
        .content({channel.last, 8'(channel.bytes), in_packet ? 128'b0 : channel.user})
    );
    stable_assertion #(.NAME(NAME), .WIDTH(DATA_W)) stable_data (
        .clk, .rst, .valid(channel.valid), .ready(channel.ready), .content(channel.bytes == '0 ? '0 : channel.data)
    );

    always @(posedge clk) begin
        if (rst) begin
            in_packet <= 1'b0;
        end else if (channel.valid && channel.ready) begin
            in_packet <= !channel.last;
            if (32'(channel.bytes) > BEAT_BYTES || (!channel.last && 32'(channel.bytes) != BEAT_BYTES) ||
                (channel.bytes == '0 && in_packet))
                bridge_pkg::dpi_fail($sformatf("%s: beat of %0d bytes, last is %b", NAME, channel.bytes, channel.last));
        end
    end
endmodule
