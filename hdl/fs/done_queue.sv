// Tells the engine how mover jobs ended.
module done_queue
    import endpoint_pkg::*;
    import pipeline_pkg::*;
#(
    parameter int unsigned SOURCES = 3
) (
    input  logic                    clk,
    input  logic                    rst,
    input  logic                    flush,
    input  epoch_t                  epoch,
    input  logic [SOURCES-1:0]      job_valid,
    output logic [SOURCES-1:0]      job_ready,
    input  job_end_t [SOURCES-1:0]  job,
    stream_if.src                   engine_done
);
    mover_done_t done_reg;
    logic        valid_reg;

    assign engine_done.valid = valid_reg;
    assign engine_done.last = 1'b1;
    assign engine_done.data = '0;
    assign engine_done.bytes = '0;
    assign engine_done.user = done_reg;

    always_comb begin
        job_ready = '0;
        for (int s = int'(SOURCES) - 1; s >= 0; s--) begin
            if (job_valid[s]) job_ready = SOURCES'(1) << s;
        end
        if (valid_reg || flush) job_ready = '0;
    end

    always_ff @(posedge clk) begin
        for (int s = 0; s < int'(SOURCES); s++) begin
            if (job_ready[s]) begin
                done_reg <= '0;
                done_reg.epoch <= 8'(epoch);
                done_reg.result <= 8'(job[s].result);
                done_reg.ctx <= 8'(job[s].ctx);
            end
        end
        if (job_ready != 0) valid_reg <= 1'b1;
        else if (engine_done.ready) valid_reg <= 1'b0;
        if (rst) valid_reg <= 1'b0;
    end
endmodule
