// Goes through the pages first to last of an open file: shows each in a window, or the hole there; fills holes where
// asked, all or nothing. Only where the free pages might not suffice, a first round counts what is missing.
module page_range
    import ramfs_pkg::*;
#(
    parameter int unsigned PAGES = 1024,
    localparam int unsigned PAGE_W = $clog2(PAGES)
) (
    input  logic              clk,
    input  logic              rst,
    input  logic              start,
    input  logic              fill,
    input  logic [27:0]       first,        // these stay until `done`
    input  logic [27:0]       last,
    output logic              done,         // one cycle
    output logic              no_space,     // with `done`
    input  pages_t            owned,        // by the file
    // Page table.
    output logic              look,
    output logic [27:0]       index,
    input  logic              looked,
    input  logic              found,
    input  logic [PAGE_W-1:0] found_page,
    // A hole is filled, from the next free page.
    input  pages_t            free,
    input  logic [PAGE_W-1:0] free_page,
    output logic              insert,
    // Window entries.
    output logic              show,
    output logic [8:0]        entry,
    output logic              shown_some,
    output logic [PAGE_W-1:0] shown_page
);
    typedef enum logic [2:0] { IDLE, CHECK, LOOK, WAIT, INSERT } state_e;
    state_e      state_reg;
    logic        counting_reg;
    logic [27:0] index_reg;
    pages_t      missing_reg;       // that the first round found so far

    logic [28:0] pages;
    logic        impossible;        // even if all of the file's pages lie in the range
    logic        leave;             // this page is done with
    logic        at_last;
    pages_t      missing;
    logic        too_few;

    assign pages = {1'b0, last} - {1'b0, first} + 1'b1;
    assign impossible = pages > 29'(free) + 29'(owned);
    assign leave = state_reg == INSERT || (state_reg == WAIT && looked && (found || counting_reg || !fill));
    assign at_last = index_reg == last;
    assign missing = missing_reg + pages_t'(!found);
    assign too_few = counting_reg && missing > free;

    assign look = state_reg == LOOK;
    assign index = index_reg;
    assign insert = state_reg == INSERT;
    assign show = leave && !counting_reg;
    assign entry = index_reg[8:0] - first[8:0];
    assign shown_some = state_reg == INSERT || found;
    assign shown_page = state_reg == INSERT ? free_page : found_page;
    assign no_space = state_reg == CHECK || too_few;
    assign done = (state_reg == CHECK && impossible) || (leave && at_last && (!counting_reg || too_few));

    always_ff @(posedge clk) begin
        case (state_reg)
            IDLE: if (start) begin
                index_reg <= first;
                missing_reg <= '0;
                counting_reg <= 1'b0;
                state_reg <= fill ? CHECK : LOOK;
            end
            CHECK: begin
                counting_reg <= pages > 29'(free);
                state_reg <= LOOK;
            end
            LOOK: state_reg <= WAIT;
            WAIT: if (looked) state_reg <= INSERT;
            default: ;
        endcase
        if (leave) begin
            index_reg <= at_last ? first : index_reg + 1'b1;
            if (counting_reg) missing_reg <= missing;
            if (at_last) counting_reg <= 1'b0;
            state_reg <= LOOK;
        end
        if (done || rst) state_reg <= IDLE;
    end
endmodule
