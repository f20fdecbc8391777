// The memory behind the mover; its bytes live in the bridge, where Python reads and writes them too.
// A read is answered LATENCY cycles later, in order.
module storage_memory #(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned LATENCY = 4
) (
    input logic    clk,
    input logic    rst,
    input logic    go,
    storage_if.slv port
);
    import bridge_pkg::*;

    logic [LATENCY-1:0] answer_valid;
    logic [DATA_W-1:0]  answer[LATENCY];
    beat_t              word;

    assign port.ready = go;
    assign port.rvalid = answer_valid[LATENCY-1];
    assign port.rdata = answer[LATENCY-1];

    always @(posedge clk) begin
        if (rst) begin
            answer_valid <= '0;
        end else begin
            answer_valid <= {answer_valid[LATENCY-2:0], port.valid && go && !port.write};
            if (answer_valid != '0) begin
                for (int i = 1; i < LATENCY; i++) answer[i] <= answer[i-1];
            end
            if (port.valid && go) begin
                if (port.write) begin
                    dpi_storage_write(port.addr, beat_t'(port.wdata), longint'(64'(port.wstrb)), DATA_W / 8);
                end else begin
                    dpi_storage_read(port.addr, word, DATA_W / 8);
                    answer[0] <= word[DATA_W-1:0];
                end
            end
        end
    end
endmodule
