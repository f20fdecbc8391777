// What the data mover sees of files: windows of 257 pages, each page or hole looked up beforehand. A window is open from
// `open` until its last byte was read, or until it is released. Through a closed window, beyond the window's last byte
// and in holes zeros are read, and nothing is written.
module storage_windows
    import page_pkg::*, ramfs_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned PAGES = 1024,
    localparam int unsigned PAGE_W = $clog2(PAGES),
    localparam int unsigned LANE_W = $clog2(DATA_W / 8),
    localparam int unsigned WORD_W = 12 - LANE_W
) (
    input  logic                clk,
    input  logic                rst,
    // Set up.
    input  logic                show,           // entry by entry
    input  window_t             window,
    input  logic [8:0]          entry,
    input  logic                shown_some,
    input  logic [PAGE_W-1:0]   shown_page,
    input  logic                open,
    input  logic                open_write,     // for writing: until it is released
    input  logic [20:0]         open_upto,      // the last byte, in the window
    input  logic [WINDOWS-1:0]  window_release,
    output logic [WINDOWS-1:0]  window_busy,
    output logic                reading,        // some window is open for reading
    // The data mover.
    storage_if.slv              storage,
    // Words of pages that the eraser touches, before the mover's.
    input  logic                erase_valid,
    input  logic                erase_clear,
    input  logic [PAGE_W-1:0]   erase_page,
    input  logic [WORD_W-1:0]   erase_first,
    input  logic [WORD_W-1:0]   erase_last,
    input  logic [DATA_W/8-1:0] erase_strb,
    // To the RAM.
    output logic                op_valid,
    output storage_op_e         op,
    output logic                op_some,        // the page exists
    output logic [PAGE_W-1:0]   op_page,
    output logic [WORD_W-1:0]   op_word,
    output logic [WORD_W-1:0]   op_last,
    output logic [DATA_W-1:0]   op_wdata,
    output logic [DATA_W/8-1:0] op_wstrb,
    input  logic                word_valid,
    input  logic [DATA_W-1:0]   word
);
    typedef struct packed {
        logic              some;
        logic [PAGE_W-1:0] page;
    } entry_t;

    typedef logic [20:LANE_W] word_t;       // of a window

    // ---- the windows ----

    logic [WINDOWS-1:0] write_reg;          // open for writing
    word_t              upto_reg[WINDOWS];
    window_t            at;
    word_t              at_word;
    logic               accept;
    logic               covered;
    logic               ends;

    assign at = storage.addr[22:21];
    assign at_word = storage.addr[20:LANE_W];
    assign storage.ready = !erase_valid;
    assign accept = storage.valid && storage.ready;
    assign covered = window_busy[at] && at_word <= upto_reg[at];
    assign ends = accept && !storage.write && !write_reg[at] && at_word == upto_reg[at];
    assign reading = (window_busy & ~write_reg) != '0;

    // Addresses are those of words, and end with the last window.
    logic unused;
    assign unused = &{1'b0, storage.addr[31:23], storage.addr[LANE_W-1:0], open_upto[LANE_W-1:0]};

    always_ff @(posedge clk) begin
        window_busy <= window_busy & ~window_release;
        if (ends) window_busy[at] <= 1'b0;
        if (open) begin
            window_busy[window] <= 1'b1;
            write_reg[window] <= open_write;
            upto_reg[window] <= open_upto[20:LANE_W];
        end
        if (rst) window_busy <= '0;
    end

    // ---- their pages ----

    (* no_rw_check *) logic [$bits(entry_t)-1:0] entries[WINDOWS * 512];
    entry_t seen;

    always_ff @(posedge clk) begin
        if (show) entries[{window, entry}] <= {shown_some, shown_page};
        if (accept) seen <= entries[storage.addr[22:12]];
    end

    logic              erase_reg;
    logic              covered_reg;
    logic [PAGE_W-1:0] page_reg;

    always_ff @(posedge clk) begin
        op_valid <= (accept || erase_valid) && !rst;
        if (erase_valid) begin
            op <= erase_clear ? STORAGE_CLEAR : STORAGE_WRITE;
            op_word <= erase_first;
            op_last <= erase_last;
            op_wdata <= '0;
            op_wstrb <= erase_strb;
        end else if (accept) begin
            op <= storage.write ? STORAGE_WRITE : STORAGE_READ;
            op_word <= storage.addr[11:LANE_W];
            op_wdata <= storage.wdata;
            op_wstrb <= storage.wstrb;
        end
        erase_reg <= erase_valid;
        page_reg <= erase_page;
        covered_reg <= covered && (write_reg[at] || !storage.write);
    end

    assign op_some = erase_reg || (covered_reg && seen.some);
    assign op_page = erase_reg ? page_reg : seen.page;
    assign storage.rvalid = word_valid;
    assign storage.rdata = word;
endmodule
