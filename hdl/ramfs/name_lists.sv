// The names of each directory (and the extended attributes of each inode), in order of their sequence: a list with both
// ends. One command at a time.
//
// FIRST and NEXT answer on `found` in the cycle after `start`; it stays until the next command.
module name_lists
    import ramfs_pkg::*, name_pkg::*;
#(
    parameter int unsigned INODES = 1024,
    parameter int unsigned ENTRIES = 2048,
    localparam int unsigned LIST_W = $clog2(INODES) + 1
) (
    input  logic              clk,
    input  logic              rst,
    input  logic              clear,            // after reset: lists are emptied, one a cycle
    input  logic [LIST_W-1:0] clear_index,
    input  logic              start,
    input  list_op_e          op,
    input  logic [LIST_W-1:0] list,             // {kind, inode}
    input  entry_slot_t       entry,
    output logic              busy,             // APPEND or CUT is under way
    output entry_slot_t       found             // 0: none
);
    localparam int unsigned SLOT_W = $clog2(ENTRIES);

    typedef struct packed {
        entry_slot_t first;
        entry_slot_t last;
    } ends_t;

    typedef enum logic [1:0] {IDLE, APPEND, LINK, CUT} state_e;
    state_e state_reg;

    logic [LIST_W-1:0] list_reg;
    entry_slot_t       entry_reg;
    logic              first_reg;               // the last answer is a list's end

    // ---- the tables ----
    ends_t       ends_table [2 ** LIST_W];
    entry_slot_t nexts [2 ** SLOT_W];
    entry_slot_t previouses [2 ** SLOT_W];
    ends_t       ends;
    entry_slot_t next;
    entry_slot_t previous;
    logic        ends_write;
    ends_t       ends_data;
    logic        next_write;
    entry_slot_t next_index;
    entry_slot_t next_data;
    logic        previous_write;
    entry_slot_t previous_index;
    entry_slot_t previous_data;

    always_ff @(posedge clk) begin
        if (ends_write) ends_table[clear ? clear_index : list_reg] <= ends_data;
        if (start && op != LIST_NEXT) ends <= ends_table[list];
    end
    always_ff @(posedge clk) begin
        if (next_write) nexts[next_index[SLOT_W-1:0]] <= next_data;
        if (start && op != LIST_FIRST) next <= nexts[entry[SLOT_W-1:0]];
    end
    always_ff @(posedge clk) begin
        if (previous_write) previouses[previous_index[SLOT_W-1:0]] <= previous_data;
        if (start && op == LIST_CUT) previous <= previouses[entry[SLOT_W-1:0]];
    end

    logic unused;                               // entries are below ENTRIES
    assign unused = &{1'b0, next_index, previous_index};

    // ---- the commands ----
    // APPEND: the entry is the last one; then, a cycle later, the successor of the one before it. CUT: all at once.
    always_comb begin
        ends_write = 1'b0;
        ends_data = ends;
        next_write = 1'b0;
        next_index = entry_reg;
        next_data = '0;
        previous_write = 1'b0;
        previous_index = entry_reg;
        previous_data = ends.last;
        case (state_reg)
            APPEND: begin
                ends_write = 1'b1;
                if (ends.last == '0) ends_data.first = entry_reg;
                ends_data.last = entry_reg;
                next_write = 1'b1;
                previous_write = 1'b1;
            end
            LINK: begin
                next_write = ends.last != '0;
                next_index = ends.last;
                next_data = entry_reg;
            end
            CUT: begin
                ends_write = 1'b1;
                if (previous == '0) ends_data.first = next;
                if (next == '0) ends_data.last = previous;
                next_write = previous != '0;
                next_index = previous;
                next_data = next;
                previous_write = next != '0;
                previous_index = next;
                previous_data = previous;
            end
            default: ;
        endcase
        if (clear) begin
            ends_write = 1'b1;
            ends_data = '0;
        end
    end

    always_ff @(posedge clk) begin
        case (state_reg)
            IDLE: if (start) begin
                list_reg <= list;
                entry_reg <= entry;
                first_reg <= op == LIST_FIRST;
                if (op == LIST_APPEND) state_reg <= APPEND;
                if (op == LIST_CUT) state_reg <= CUT;
            end
            APPEND: state_reg <= LINK;
            default: state_reg <= IDLE;
        endcase
        if (rst) state_reg <= IDLE;
    end

    assign busy = state_reg != IDLE;
    assign found = first_reg ? ends.first : next;
endmodule
