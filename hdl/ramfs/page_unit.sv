// The contents of files: which pages they own, what the data mover sees of them, and the bytes themselves. A command at
// a time, from `cmd` to one cycle of `rsp_valid`. Its tables are nobody else's, so under `hold` it goes on, but answers
// only when `hold` falls.
//
// The mover's addresses: window in bits 22:21, below it the offset from the start of the page with the window's first
// byte. A window is busy until its last byte was read (PAGES_MAP) or until it is released; one of no bytes is never.
// What changes pages waits until nothing is read any more.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module page_unit
    import page_pkg::*, ramfs_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned INODES = 1024,
    parameter int unsigned PAGES = 1024
) (
    input  logic               clk,
    input  logic               rst,
    output logic               ready,           // the tables are in order
    input  logic               cmd_valid,
    output logic               cmd_ready,
    input  page_cmd_t          cmd,
    output logic               rsp_valid,
    output page_rsp_t          rsp,
    input  logic               hold,
    output logic               holding,
    output pages_t             free_pages,
    output logic [WINDOWS-1:0] window_busy,
    input  logic [WINDOWS-1:0] window_release,
    storage_if.slv             storage
);
    localparam int unsigned NODE_W = $clog2(INODES);
    localparam int unsigned PAGE_W = $clog2(PAGES);
    localparam int unsigned WORD_W = 12 - $clog2(DATA_W / 8);

    // ---- the command ----

    typedef enum logic [2:0] { IDLE, BEGIN, RUN, CLOSE, ANSWER } state_e;
    state_e            state_reg;
    page_op_e          op_reg;
    logic [NODE_W-1:0] node_reg;
    window_t           window_reg;
    logic              empty_reg;
    logic [39:0]       from_reg;        // the first byte
    logic [39:0]       upto_reg;        // the last one
    logic              no_space_reg;

    logic              list_ready, table_ready, free_ready;
    logic              accept;
    position_t         from;
    position_t         to;
    position_t         upto;
    logic              showing;         // through a window
    logic              ranging;         // page by page of the range; else page by page of the file
    logic              reading;
    logic              may_begin;
    logic              start;
    logic              range_done;
    logic              no_space;
    logic              walk_done;
    logic              open;

    assign ready = list_ready && table_ready && free_ready;
    assign cmd_ready = ready && state_reg == IDLE;
    assign accept = cmd_valid && cmd_ready;
    assign from = cmd.op == PAGES_DROP ? '0 : cmd.from;
    assign to = cmd.op == PAGES_DROP || cmd.op == PAGES_CUT ? FILE_BYTES : cmd.to;
    assign upto = to - 1'b1;
    assign showing = op_reg == PAGES_MAP || op_reg == PAGES_RESERVE;
    assign ranging = showing || op_reg == PAGES_ALLOCATE;
    assign may_begin = !(reading && op_reg != PAGES_MAP) && !(showing && window_busy[window_reg]);
    assign start = state_reg == BEGIN && may_begin && !empty_reg;
    assign open = range_done && showing && !no_space;

    assign rsp_valid = state_reg == ANSWER && !holding;
    assign rsp.no_space = no_space_reg;

    always_ff @(posedge clk) begin
        holding <= hold;
        case (state_reg)
            IDLE: if (accept) begin
                op_reg <= cmd.op;
                node_reg <= cmd.node[NODE_W-1:0];
                window_reg <= cmd.window;
                empty_reg <= from >= to;
                from_reg <= from[39:0];
                upto_reg <= upto[39:0];
                no_space_reg <= 1'b0;
                state_reg <= BEGIN;
            end
            BEGIN: begin
                if (empty_reg) state_reg <= ANSWER;
                else if (may_begin) state_reg <= RUN;
            end
            RUN: if (range_done || walk_done) begin
                no_space_reg <= range_done && no_space;
                state_reg <= op_reg == PAGES_MAP ? ANSWER : CLOSE;
            end
            CLOSE: state_reg <= ANSWER;
            default: if (!holding) state_reg <= IDLE;
        endcase
        if (rst) state_reg <= IDLE;
    end

    // ---- a range of pages, or all pages of a file ----

    logic              range_look, walk_look, looked, found;
    logic [27:0]       range_index, item_index;
    logic [PAGE_W-1:0] found_page, item_page, free_page;
    logic              insert;
    logic              show, shown_some;
    logic [8:0]        entry;
    logic [PAGE_W-1:0] shown_page;

    page_range #(.PAGES(PAGES)) page_range (
        .clk, .rst, .start(start && ranging), .fill(op_reg != PAGES_MAP),
        .first(from_reg[39:12]), .last(upto_reg[39:12]), .done(range_done), .no_space, .owned(rsp.pages),
        .look(range_look), .index(range_index), .looked, .found, .found_page,
        .free(free_pages), .free_page, .insert, .show, .entry, .shown_some, .shown_page
    );

    logic        walk, next, drop, item, at_end;
    logic        erase, erased;
    logic [11:0] erase_from, erase_upto;

    page_walk page_walk (
        .clk, .rst, .start(start && !ranging), .free(op_reg != PAGES_ERASE), .from(from_reg), .upto(upto_reg),
        .done(walk_done), .walk, .next, .drop, .item, .at_end, .index(item_index),
        .look(walk_look), .looked, .erase, .erased, .erase_from, .erase_upto
    );

    // ---- tables ----

    page_table #(.NODE_W(NODE_W), .PAGES(PAGES)) page_table (
        .clk, .rst, .ready(table_ready), .look(range_look || walk_look), .unlink(walk_look), .node(node_reg),
        .index(ranging ? range_index : item_index), .looked, .found, .page(found_page), .insert, .new_page(free_page)
    );

    page_list #(.INODES(INODES), .PAGES(PAGES)) page_list (
        .clk, .rst, .ready(list_ready), .open(accept), .node(ready ? cmd.node[NODE_W-1:0] : '0),
        .close(state_reg == CLOSE), .count(rsp.pages), .push(insert), .new_page(free_page), .new_index(range_index),
        .walk, .next, .drop, .item, .at_end, .page(item_page), .index(item_index)
    );

    page_allocator #(.PAGES(PAGES)) page_allocator (
        .clk, .rst, .ready(free_ready), .free(free_pages), .page(free_page), .take(insert),
        .give(drop), .given(item_page)
    );

    // ---- storage ----

    logic                erase_valid, erase_clear;
    logic [PAGE_W-1:0]   erase_page;
    logic [WORD_W-1:0]   erase_first, erase_last;
    logic [DATA_W/8-1:0] erase_strb;

    page_eraser #(.DATA_W(DATA_W), .PAGES(PAGES)) page_eraser (
        .clk, .rst, .fresh(insert), .fresh_page(free_page),
        .erase, .page(item_page), .from(erase_from), .upto(erase_upto), .erased,
        .op_valid(erase_valid), .op_clear(erase_clear), .op_page(erase_page), .op_first(erase_first),
        .op_last(erase_last), .op_strb(erase_strb)
    );

    logic                op_valid, op_some, word_valid;
    storage_op_e         op;
    logic [PAGE_W-1:0]   op_page;
    logic [WORD_W-1:0]   op_word, op_last;
    logic [DATA_W-1:0]   op_wdata, word;
    logic [DATA_W/8-1:0] op_wstrb;

    storage_windows #(.DATA_W(DATA_W), .PAGES(PAGES)) storage_windows (
        .clk, .rst, .show(show && showing), .window(window_reg), .entry, .shown_some, .shown_page,
        .open, .open_write(op_reg == PAGES_RESERVE), .open_upto({entry, upto_reg[11:0]}),
        .window_release, .window_busy, .reading, .storage,
        .erase_valid, .erase_clear, .erase_page, .erase_first, .erase_last, .erase_strb,
        .op_valid, .op, .op_some, .op_page, .op_word, .op_last, .op_wdata, .op_wstrb, .word_valid, .word
    );

    storage_ram #(.DATA_W(DATA_W), .PAGES(PAGES)) storage_ram (
        .clk, .rst, .valid(op_valid), .op, .some(op_some), .page(op_page), .word(op_word), .last(op_last),
        .wdata(op_wdata), .wstrb(op_wstrb), .rvalid(word_valid), .rdata(word)
    );
endmodule
// verilator lint_on UNUSEDSIGNAL
