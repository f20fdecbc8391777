// The slots' bytes: one bank a dword lane, so that a beat of dwords at any dword offset is written in one cycle.
// Never read where it is written: a slot is read after its last completion.
module slot_ram #(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned WORDS = 512,
    localparam int unsigned BANKS = DATA_W / 32,
    localparam int unsigned ADDR_W = $clog2(WORDS)
) (
    input  logic                           clk,
    input  logic [BANKS-1:0]               write,
    input  logic [BANKS-1:0][ADDR_W-1:0]   write_addr,
    input  logic [DATA_W-1:0]              write_data,
    input  logic                           read,
    input  logic [ADDR_W-1:0]              read_addr,
    output logic [DATA_W-1:0]              read_data      // the cycle after `read`; stays
);
    for (genvar b = 0; b < int'(BANKS); b++) begin : g_bank
        (* no_rw_check *) logic [31:0] mem[WORDS];
        always_ff @(posedge clk) begin
            if (write[b]) mem[write_addr[b]] <= write_data[32*b+:32];
            if (read) read_data[32*b+:32] <= mem[read_addr];
        end
    end
endmodule
