// Breaks one rule of a channel on its way to the pins; with NONE it changes nothing.
package fault_pkg;
    // The numbers are those of Fault in bridge_tests.py.
    typedef enum logic [7:0] {
        NONE,
        VALID_FALLS,       // after a cycle in which the beat was not taken
        HEADER_CHANGES,
        DATA_CHANGES,
        LAST_CHANGES,
        LAST_EARLY,
        LAST_NEVER,
        FOURTH_DWORD,      // behind a header of three
        DIGEST,
        PREFIX,
        LONG_TAG,
        BYTES_SHORT,       // of a beat that is not the last
        BYTES_LONG,
        BYTES_NONE,        // on the second beat
        IGNORES_CREDIT,
        RC_WAITS_FOR_RQ,
        PASSES_POSTED,
        LAST_FAULT
    } fault_e;
endpackage

module tlp_misbehaviour
    import fault_pkg::*;
(
    input logic   clk,
    input fault_e fault,
    tlp_if.snk    in,
    tlp_if.src    out
);
    logic waited;
    always_ff @(posedge clk) waited <= out.valid && !out.ready;

    always_comb begin
        out.valid = in.valid;
        out.last = in.last;
        out.hdr = in.hdr;
        out.data = in.data;
        case (fault)
            VALID_FALLS: out.valid = in.valid && !waited;
            HEADER_CHANGES: out.hdr[40] = in.hdr[40] ^ waited;
            DATA_CHANGES: out.data[0] = in.data[0] ^ waited;
            LAST_CHANGES: out.last = in.last ^ waited;
            LAST_EARLY: out.last = 1'b1;
            LAST_NEVER: out.last = 1'b0;
            FOURTH_DWORD: out.hdr[0] = 1'b1;
            DIGEST: out.hdr[111] = 1'b1;
            PREFIX: out.hdr[127] = 1'b1;
            LONG_TAG: out.hdr[119] = 1'b1;
            default: ;
        endcase
    end
    assign in.ready = out.ready && out.valid;
endmodule

module stream_misbehaviour
    import fault_pkg::*;
#(
    parameter int unsigned DATA_W = 256
) (
    input logic   clk,
    input fault_e fault,
    stream_if.snk in,
    stream_if.src out
);
    logic waited, second;
    always_ff @(posedge clk) begin
        waited <= out.valid && !out.ready;
        if (out.valid && out.ready) second <= !out.last;
    end

    always_comb begin
        out.valid = in.valid;
        out.last = in.last;
        out.data = in.data;
        out.bytes = in.bytes;
        out.user = in.user;
        case (fault)
            VALID_FALLS: out.valid = in.valid && !waited;
            HEADER_CHANGES: out.user[0] = in.user[0] ^ waited;
            DATA_CHANGES: out.data[0] = in.data[0] ^ waited;
            LAST_CHANGES: out.last = in.last ^ waited;
            BYTES_SHORT: out.bytes = in.bytes - 1'b1;
            BYTES_LONG: out.bytes = $bits(in.bytes)'(DATA_W / 8 + 1);
            BYTES_NONE: if (second) begin
                out.bytes = '0;
                out.last = 1'b1;
            end
            default: ;
        endcase
    end
    assign in.ready = out.ready && out.valid;
endmodule
