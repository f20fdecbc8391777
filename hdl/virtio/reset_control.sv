// The reset sequence. device_status keeps its old value until no DMA can follow (PCI-COMMON-D07, D08, RESET-D02, D03).
module reset_control
    import endpoint_pkg::*;
(
    input  logic       clk,
    input  logic       rst,
    input  logic       request,       // the driver wrote 0 to device_status
    input  logic       status_zero,
    input  logic       flr,           // a function level reset wants one, until it clears
    input  logic       dma_idle,
    output reset_req_t reset,
    output logic       hold           // registers are being cleared: accesses wait these few cycles
);
    typedef enum logic [1:0] {RUN, QUIESCE, CLEAR} state_e;
    localparam logic [1:0] LAST = 2'd3;    // cycles of CLEAR, and settling time of dma_idle, less 1

    state_e     state_reg;
    logic [1:0] count_reg;

    assign reset.quiesce = state_reg != RUN;
    assign reset.clear = state_reg == CLEAR;
    assign hold = reset.clear || request;

    always_ff @(posedge clk) begin
        if (count_reg != LAST) count_reg <= count_reg + 2'd1;
        unique case (state_reg)
            // With device_status 0 nothing is under way, but a function level reset looks.
            RUN: if (request || flr) begin
                state_reg <= status_zero && !flr ? CLEAR : QUIESCE;
                count_reg <= '0;
            end
            QUIESCE: if (dma_idle && count_reg == LAST) begin
                state_reg <= CLEAR;
                count_reg <= '0;
            end
            default: if (count_reg == LAST) state_reg <= RUN;
        endcase
        if (rst) begin
            state_reg <= CLEAR;
            count_reg <= '0;
        end
    end
endmodule
