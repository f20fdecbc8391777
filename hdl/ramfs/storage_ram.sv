// The bytes of all pages, with a valid bit a word: what was not written since its page was allocated reads as zeros.
// An operation a cycle, in order; a word comes two cycles after its read. RAMs are read in the cycle of the operation
// and written in the next one. What a write changes meanwhile is taken from the write.
module storage_ram
    import page_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned PAGES = 1024,
    localparam int unsigned PAGE_W = $clog2(PAGES),
    localparam int unsigned WORD_W = 12 - $clog2(DATA_W / 8)
) (
    input  logic                clk,
    input  logic                rst,
    input  logic                valid,
    input  storage_op_e         op,
    input  logic                some,           // 0: there is no page; zeros are read, nothing is written
    input  logic [PAGE_W-1:0]   page,
    input  logic [WORD_W-1:0]   word,
    input  logic [WORD_W-1:0]   last,           // STORAGE_CLEAR: words `word` to `last`
    input  logic [DATA_W-1:0]   wdata,
    input  logic [DATA_W/8-1:0] wstrb,
    output logic                rvalid,
    output logic [DATA_W-1:0]   rdata
);
    localparam int unsigned PAGE_WORDS = 2 ** WORD_W;
    localparam logic [PAGE_WORDS-1:0] ONES = '1;

    logic                  valid_reg;
    storage_op_e           op_reg;
    logic                  some_reg;
    logic [PAGE_W-1:0]     page_reg;
    logic [WORD_W-1:0]     word_reg;
    logic [WORD_W-1:0]     last_reg;
    logic [DATA_W-1:0]     wdata_reg;
    logic [DATA_W/8-1:0]   wstrb_reg;

    // ---- valid bits ----

    (* no_rw_check *) logic [PAGE_WORDS-1:0] bits_ram[PAGES];
    logic [PAGE_WORDS-1:0] bits_read;
    logic [PAGE_WORDS-1:0] bits;
    logic [PAGE_WORDS-1:0] bits_new;
    logic [PAGE_WORDS-1:0] bits_new_reg;
    logic                  same_page_reg;   // the operation before this one wrote this page's bits
    logic                  bits_write;

    assign bits_write = valid_reg && some_reg && op_reg != STORAGE_READ;
    assign bits = same_page_reg ? bits_new_reg : bits_read;
    always_comb begin
        bits_new = bits;
        if (op_reg == STORAGE_CLEAR) bits_new &= ~(ONES << word_reg & ONES >> ~last_reg);
        else bits_new[word_reg] = 1'b1;
    end

    always_ff @(posedge clk) begin
        if (bits_write) bits_ram[page_reg] <= bits_new;
        if (valid) bits_read <= bits_ram[page];
    end

    // ---- bytes ----

    (* no_rw_check *) logic [DATA_W-1:0] ram[PAGES * PAGE_WORDS];
    logic [DATA_W-1:0] ram_read;
    logic [DATA_W-1:0] old;
    logic [DATA_W-1:0] merged;
    logic [DATA_W-1:0] merged_reg;
    logic              same_word_reg;       // the operation before this one wrote this word
    logic              write;

    assign write = valid_reg && some_reg && op_reg == STORAGE_WRITE;
    always_comb begin
        old = '0;
        if (some_reg && bits[word_reg]) old = same_word_reg ? merged_reg : ram_read;
        merged = wdata_reg;
        if (!(&wstrb_reg)) begin
            for (int unsigned i = 0; i < DATA_W / 8; i++)
                if (!wstrb_reg[i]) merged[8*i+:8] = old[8*i+:8];
        end
    end

    always_ff @(posedge clk) begin
        if (write) ram[{page_reg, word_reg}] <= merged;
        if (valid) ram_read <= ram[{page, word}];
    end

    // ---- an operation ----

    always_ff @(posedge clk) begin
        valid_reg <= valid && !rst;
        if (valid) begin
            op_reg <= op;
            some_reg <= some;
            page_reg <= page;
            word_reg <= word;
            last_reg <= last;
            wdata_reg <= wdata;
            wstrb_reg <= wstrb;
            same_page_reg <= bits_write && page == page_reg;
            same_word_reg <= write && page == page_reg && word == word_reg;
        end
        if (bits_write) bits_new_reg <= bits_new;
        if (write) merged_reg <= merged;
        rvalid <= valid_reg && op_reg == STORAGE_READ && !rst;
        if (valid_reg && op_reg == STORAGE_READ) rdata <= old;
    end
endmodule
