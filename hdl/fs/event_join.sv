// Brings errors and counter pulses of all blocks to the registers.
module event_join
    import endpoint_pkg::*;
#(
    parameter int unsigned ERRORS = 1,
    parameter int unsigned COUNTS = 1
) (
    input  logic                 clk,
    input  logic                 flush,
    input  logic [ERRORS-1:0]    error_valid,
    output logic [ERRORS-1:0]    error_ready,
    input  error_t [ERRORS-1:0]  error,
    output logic                 joined_valid,
    input  logic                 joined_ready,
    output error_t               joined,
    input  count_t [COUNTS-1:0]  count,
    output count_t               counts
);
    always_comb begin
        error_ready = '0;
        if (!joined_valid && !flush) begin
            for (int e = int'(ERRORS) - 1; e >= 0; e--) begin
                if (error_valid[e]) error_ready = ERRORS'(1) << e;
            end
        end
        counts = '0;
        for (int c = 0; c < int'(COUNTS); c++) counts |= count[c];
    end

    always_ff @(posedge clk) begin
        for (int e = 0; e < int'(ERRORS); e++) begin
            if (error_ready[e]) joined <= error[e];
        end
        if (error_ready != 0) joined_valid <= 1'b1;
        else if (joined_ready) joined_valid <= 1'b0;
        if (flush) joined_valid <= 1'b0;
    end
endmodule
