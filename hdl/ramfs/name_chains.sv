// Hash chains: the first entry of each bucket, and each entry's successor. One command at a time.
//
// FIRST and NEXT answer on `found` in the cycle after `start`; it stays until the next command.
module name_chains
    import ramfs_pkg::*, name_pkg::*;
#(
    parameter int unsigned ENTRIES = 2048,
    localparam int unsigned BUCKET_W = $clog2(ENTRIES) + 1
) (
    input  logic                clk,
    input  logic                rst,
    input  logic                clear,          // after reset: buckets are emptied, one a cycle
    input  logic [BUCKET_W-1:0] clear_index,
    input  logic                start,
    input  chain_op_e           op,
    input  logic [BUCKET_W-1:0] bucket,
    input  entry_slot_t         entry,
    output logic                busy,           // INSERT or CUT is under way
    output entry_slot_t         found           // 0: none
);
    localparam int unsigned SLOT_W = $clog2(ENTRIES);

    typedef enum logic [1:0] {IDLE, INSERT, CUT_FIRST, CUT_NEXT} state_e;
    state_e state_reg;

    logic [BUCKET_W-1:0] bucket_reg;
    entry_slot_t         entry_reg;
    entry_slot_t         before_reg;            // CUT: the entry whose successor was read
    entry_slot_t         behind_reg;            // CUT: what follows the entry that goes
    logic                first_reg;             // the last answer is a bucket's

    // ---- the tables ----
    entry_slot_t         firsts [2 ** BUCKET_W];
    entry_slot_t         nexts [2 ** SLOT_W];
    entry_slot_t         first;
    entry_slot_t         next;
    logic                first_write;
    entry_slot_t         first_data;
    logic                next_write;
    entry_slot_t         next_index;
    entry_slot_t         next_data;
    logic                next_read;
    entry_slot_t         read_index;

    always_ff @(posedge clk) begin
        if (first_write) firsts[clear ? clear_index : bucket_reg] <= first_data;
        if (start && op != CHAIN_NEXT) first <= firsts[bucket];
    end
    always_ff @(posedge clk) begin
        if (next_write) nexts[next_index[SLOT_W-1:0]] <= next_data;
        if (next_read) next <= nexts[read_index[SLOT_W-1:0]];
    end

    logic unused;                               // entries are below ENTRIES
    assign unused = &{1'b0, next_index, read_index};

    // ---- the commands ----
    logic        cut_first;
    logic        cut_next;
    entry_slot_t behind;
    assign behind = state_reg == CUT_FIRST ? next : behind_reg;
    assign cut_first = state_reg == CUT_FIRST && first == entry_reg;
    assign cut_next = state_reg == CUT_NEXT && next == entry_reg;

    assign first_write = clear || state_reg == INSERT || cut_first;
    always_comb begin
        first_data = behind;
        if (state_reg == INSERT) first_data = entry_reg;
        if (clear) first_data = '0;
    end
    assign next_write = state_reg == INSERT || cut_next;
    assign next_index = state_reg == INSERT ? entry_reg : before_reg;
    assign next_data = state_reg == INSERT ? first : behind;

    // CUT reads the successor first, then goes from the bucket on until it meets the entry.
    assign next_read = (start && (op == CHAIN_NEXT || op == CHAIN_CUT)) || state_reg == CUT_FIRST || state_reg == CUT_NEXT;
    always_comb begin
        read_index = entry;
        if (state_reg == CUT_FIRST) read_index = first;
        if (state_reg == CUT_NEXT) read_index = next;
    end

    always_ff @(posedge clk) begin
        case (state_reg)
            IDLE: if (start) begin
                bucket_reg <= bucket;
                entry_reg <= entry;
                first_reg <= op != CHAIN_NEXT;
                if (op == CHAIN_INSERT) state_reg <= INSERT;
                if (op == CHAIN_CUT) state_reg <= CUT_FIRST;
            end
            INSERT: state_reg <= IDLE;
            CUT_FIRST: begin
                before_reg <= first;
                behind_reg <= next;
                state_reg <= cut_first ? IDLE : CUT_NEXT;
            end
            default: begin
                before_reg <= next;
                if (cut_next) state_reg <= IDLE;
            end
        endcase
        if (rst) state_reg <= IDLE;
    end

    assign busy = state_reg != IDLE;
    assign found = first_reg ? first : next;
endmodule
