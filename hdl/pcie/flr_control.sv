// Function level reset (PCIe Base Specification 6.6.2): INTA goes low first, then everything runs dry and is cleared
// as by a reset of the device. Configuration space is at its defaults from the start, and answers with Retry Status to
// the end. The way from D3hot to D0 is the same, but for configuration space, which keeps what it holds.
module flr_control
    import endpoint_pkg::*;
(
    input  logic       clk,
    input  logic       rst,
    input  logic       start,       // one cycle: Initiate Function Level Reset was written
    input  logic       wake,        // one cycle: from D3hot to D0
    input  logic       intx_quiet,
    input  reset_req_t reset,
    output logic       active,
    output logic       function_reset,   // configuration space goes to its defaults, too
    output logic       request      // of a reset, until it clears
);
    typedef enum logic [1:0] {IDLE, LOWER, DRAIN, CLEAR} state_e;
    state_e state_reg;
    logic   whole_reg;

    assign active = state_reg != IDLE;
    assign function_reset = active && whole_reg;
    assign request = state_reg == DRAIN;

    always_ff @(posedge clk) begin
        if (start || wake) whole_reg <= start;
        unique case (state_reg)
            IDLE: if (start || wake) state_reg <= LOWER;
            // A reset of the driver that is on comes to its end.
            LOWER: if (intx_quiet && !reset.quiesce) state_reg <= DRAIN;
            DRAIN: if (reset.clear) state_reg <= CLEAR;
            CLEAR: if (!reset.quiesce) state_reg <= IDLE;
        endcase
        if (rst) state_reg <= IDLE;
    end
endmodule
