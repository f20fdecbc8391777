// Keeps one NOTIFY_REPLY of the driver for the DPU, which reads it dword by dword and then says so. A device reset does
// not touch it.
module retrieved_mailbox
    import pcie_pkg::access_t, dpu_pkg::*;
#(
    parameter int unsigned DATA_W = 256
) (
    input  logic         clk,
    input  logic         rst,
    input  access_t      access,
    output logic [31:0]  rdata,
    retrieved_if.mailbox kept
);
    localparam int unsigned WORDS = RETRIEVED_BYTES * 8 / DATA_W;
    localparam int unsigned ADDR_W = $clog2(WORDS);
    localparam int unsigned LANE_W = $clog2(DATA_W / 32);
    typedef logic [10:0] bytes_t;

    logic unused;
    assign unused = &{1'b0, access, kept.addr};

    logic [12:0] offset;
    logic        read, step, take;
    assign offset = {access.addr[10:0], 2'b00};
    assign read = access.valid && !access.write;
    assign step = read && offset == REG_RETRIEVED_DATA;
    assign take = access.valid && access.write && offset == REG_RETRIEVED_TAKEN;

    logic [DATA_W-1:0] words [WORDS];
    logic [DATA_W-1:0] word_reg;
    bytes_t            bytes_reg;         // 0: nothing is kept
    bytes_t            at_reg;
    bytes_t            left;
    logic              lost_reg;
    logic [31:0]       dword;

    assign kept.full = bytes_reg != '0;
    assign left = bytes_reg - at_reg;
    always_comb begin
        dword = word_reg[32 * at_reg[LANE_W+1:2] +: 32];
        for (int unsigned i = 0; i < 4; i++) if (bytes_t'(i) >= left) dword[8 * i +: 8] = '0;
    end

    always_ff @(posedge clk) begin
        if (kept.write) words[kept.addr[ADDR_W-1:0]] <= kept.word;
        word_reg <= words[at_reg[LANE_W+2 +: ADDR_W]];
    end

    always_ff @(posedge clk) begin
        if (step) at_reg <= left > bytes_t'(4) ? at_reg + bytes_t'(4) : bytes_reg;
        if (kept.lost) lost_reg <= 1'b1;
        if (kept.done) bytes_reg <= kept.bytes;
        if (rst || (take && kept.full)) begin
            at_reg <= '0;
            bytes_reg <= '0;
            lost_reg <= 1'b0;
        end
    end

    always_ff @(posedge clk) begin
        rdata <= '0;
        if (read) begin
            case (offset)
                REG_RETRIEVED_LENGTH: rdata <= 32'(bytes_reg);
                REG_RETRIEVED_DATA: rdata <= dword;
                REG_NOTIFY_FLAGS: rdata <= 32'(lost_reg) << FLAG_RETRIEVED_LOST;
                default: rdata <= '0;
            endcase
        end
    end
endmodule
