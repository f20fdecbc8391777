// Contexts that are free, by lane. The scheduler claims some when it asks for ring entries and takes their numbers
// when the entries are there, so an entry never waits for a context.
module context_pool
    import endpoint_pkg::*;
    import pipeline_pkg::*;
#(
    parameter int unsigned CONTEXTS = 32
) (
    input  logic                        clk,
    input  logic                        flush,
    output logic [LANES-1:0][6:0]       unclaimed,
    input  logic                        claim_valid,
    input  lane_e                       claim_lane,
    input  logic [3:0]                  claim_count,
    input  logic                        drop_valid,      // claimed, but not taken
    input  lane_e                       drop_lane,
    input  logic [3:0]                  drop_count,
    input  lane_e                       take_lane,
    output context_t                    take_ctx,
    input  logic                        take_valid,
    input  logic [RELEASES-1:0]         release_valid,
    input  write_done_t [RELEASES-1:0]  released
);
    logic [CONTEXTS-1:0] free_reg;

    always_comb begin
        take_ctx = '0;
        for (int i = int'(CONTEXTS) - 1; i >= 0; i--) begin
            if (free_reg[i] && i >= int'(lane_first(int'(take_lane), CONTEXTS)) &&
                i < int'(lane_first(int'(take_lane), CONTEXTS) + lane_contexts(int'(take_lane), CONTEXTS))) begin
                take_ctx = context_t'(i);
            end
        end
    end

    logic [LANES-1:0][6:0] unclaimed_next;

    always_comb begin
        unclaimed_next = unclaimed;
        if (claim_valid) unclaimed_next[claim_lane] = unclaimed_next[claim_lane] - 7'(claim_count);
        if (drop_valid) unclaimed_next[drop_lane] = unclaimed_next[drop_lane] + 7'(drop_count);
        for (int r = 0; r < int'(RELEASES); r++) begin
            if (release_valid[r]) unclaimed_next[released[r].lane] = unclaimed_next[released[r].lane] + 1'b1;
        end
    end

    always_ff @(posedge clk) begin
        if (flush) begin
            free_reg <= '1;
            for (int l = 0; l < int'(LANES); l++) unclaimed[l] <= 7'(lane_contexts(l, CONTEXTS));
        end else begin
            unclaimed <= unclaimed_next;
            if (take_valid) free_reg[take_ctx[$clog2(CONTEXTS)-1:0]] <= 1'b0;
            for (int r = 0; r < int'(RELEASES); r++) begin
                if (release_valid[r]) free_reg[released[r].ctx[$clog2(CONTEXTS)-1:0]] <= 1'b1;
            end
        end
    end
endmodule
