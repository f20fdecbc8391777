// The last errors for the DPU to read, oldest first; when the log is full the newest are dropped (the counter still
// counts them).
module error_log
    import endpoint_pkg::*, pcie_pkg::access_t, dpu_pkg::*;
(
    input  logic        clk,
    input  logic        rst,
    input  access_t     access,
    output logic [31:0] rdata,
    input  logic        error_valid,
    output logic        error_ready,
    input  error_t      error,
    input  logic        locked_valid,    // pulse, at most once in some cycles: a strap was written too late
    input  logic [12:0] locked_offset,
    output logic        logged           // pulse, one error
);
    localparam int unsigned DEPTH = 16;
    localparam int unsigned COUNT_W = $clog2(DEPTH) + 1;

    error_t locked_error, entry, head;
    logic   head_valid, pop;
    logic [COUNT_W-1:0] count;

    always_comb begin
        locked_error = '0;
        locked_error.code = ERR_STRAP_LOCKED;
        locked_error.address = 64'(locked_offset);
    end

    assign error_ready = !locked_valid;
    assign logged = error_valid || locked_valid;
    assign entry = locked_valid ? locked_error : error;

    // verilator lint_off PINCONNECTEMPTY
    word_fifo #(.WIDTH($bits(error_t)), .DEPTH(DEPTH)) log (
        .clk, .rst, .in_valid(logged), .in_ready(), .in_data(entry),
        .out_valid(head_valid), .out_ready(pop), .out_data(head), .count
    );
    // verilator lint_on PINCONNECTEMPTY

    logic unused;
    assign unused = &{1'b0, access};

    logic [12:0] offset;
    logic [31:0] value;
    assign offset = {access.addr[10:0], 2'b00};
    assign pop = access.valid && access.write && offset == REG_ERROR_POP && head_valid;

    always_comb begin
        value = '0;
        if (offset == REG_ERROR_COUNT) value = 32'(count);
        else if (head_valid) begin
            if (offset == REG_ERROR_HEAD) value = {15'b0, head.fatal, 4'b0, head.queue, head.code};
            if (offset == REG_ERROR_ADDR_LO) value = head.address[31:0];
            if (offset == REG_ERROR_ADDR_HI) value = head.address[63:32];
        end
    end

    always_ff @(posedge clk) rdata <= access.valid && !access.write ? value : '0;
endmodule
