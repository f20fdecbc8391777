// The names of all directories, and of extended attributes: entries, found by hash, listed in order of sequence.
//
// One command at a time; `rsp_valid` is one cycle. While `lend` is high no command begins, and the lister reads the
// entries, the lists and the cells: `lent`.
module name_table
    import ramfs_pkg::*, name_pkg::*;
#(
    parameter int unsigned INODES = 1024,
    parameter int unsigned ENTRIES = 2048,
    parameter int unsigned CELLS = 4096
) (
    input  logic             clk,
    input  logic             rst,
    output logic             ready,             // the tables are empty

    input  logic             cmd_valid,
    output logic             cmd_ready,
    input  name_cmd_t        cmd,
    output logic             rsp_valid,
    output name_rsp_t        rsp,
    output logic [1:0]       fits,

    input  name_info_t [1:0] names,
    input  hash_t [1:0]      hashes,
    output logic             bytes_which,
    output logic [2:0]       bytes_index,
    input  cell_bytes_t      bytes,

    // What is read comes a cycle later and stays until the next reading.
    input  logic             lend,
    output logic             lent,
    input  logic             look_list,         // -> look_found: first of look_directory, or successor of look_entry
    input  list_op_e         look_op,
    input  node_slot_t       look_directory,
    input  logic             look_name,         // -> look_record: look_entry
    input  entry_slot_t      look_entry,
    input  logic             look_cell,         // -> look_bytes, look_next: look_from
    input  cell_slot_t       look_from,
    output entry_slot_t      look_found,
    output entry_t           look_record,
    output cell_bytes_t      look_bytes,
    output cell_slot_t       look_next
);
    localparam int unsigned SLOT_W = $clog2(ENTRIES);
    localparam int unsigned NODE_W = $clog2(INODES);
    localparam int unsigned BUCKET_W = SLOT_W + 1;
    localparam int unsigned LIST_W = NODE_W + 1;
    localparam int unsigned CLEAR_W = BUCKET_W > LIST_W ? BUCKET_W : LIST_W;

    if (INODES < 2 || INODES > 4096 || ENTRIES < 2 || ENTRIES > 8192 || CELLS < 2 || CELLS > 16384) begin : gen_check
        $fatal(1, "name_table: INODES %0d, ENTRIES %0d, CELLS %0d: at least 2 and at most 4096, 8192, 16384",
               INODES, ENTRIES, CELLS);
    end

    typedef enum logic [3:0] {IDLE, LOOK, CANDIDATE, CHECK, COMPARE, ADD, HEAD, FETCH, ACT, WAIT} state_e;
    state_e      state_reg;
    name_cmd_t   cmd_reg;
    entry_slot_t entry_reg;                     // that is looked at or changed
    logic [31:0] sequence_reg;                  // of the next new name
    logic [8:0]  name_length;
    hash_t       name_hash;

    assign name_length = names[cmd_reg.which].length;
    assign name_hash = hashes[cmd_reg.which];

    // After reset every table is emptied.
    logic             clear_reg;
    logic [CLEAR_W:0] clear_index_reg;
    assign ready = !clear_reg;
    always_ff @(posedge clk) begin
        clear_index_reg <= rst ? '0 : clear_index_reg + (CLEAR_W + 1)'(clear_reg);
        clear_reg <= rst || (clear_reg && clear_index_reg != (CLEAR_W + 1)'(2 ** CLEAR_W - 1));
    end

    // ---- entries ----
    entry_t      entries [2 ** SLOT_W];
    entry_t      record;
    entry_t      change;
    logic        record_write;
    logic        record_read;
    entry_slot_t read_index;
    entry_slot_t write_index;
    logic        take;
    logic        give;
    logic        slot_valid;
    entry_slot_t slot;
    logic [13:0] free_entries;
    logic [14:0] free_cells;

    always_ff @(posedge clk) begin
        if (record_write) entries[write_index[SLOT_W-1:0]] <= change;
        if (record_read) record <= entries[read_index[SLOT_W-1:0]];
    end
    slot_queue #(.COUNT(ENTRIES), .SLOT_W($bits(entry_slot_t))) slots (
        .clk, .rst, .slot_valid, .slot, .take, .give, .given(entry_reg), .free(free_entries)
    );
    always_comb begin
        for (int unsigned i = 0; i < 2; i++) begin
            fits[i] = free_entries != '0 && free_cells >= 15'(cell_count(names[i].length[7:0]));
        end
    end

    // ---- what is linked with them ----
    logic              chain_start, list_start, cells_start;
    chain_op_e         chain_op;
    list_op_e          list_op, own_list_op;
    cells_op_e         cells_op, own_cells_op;
    hash_t             bucket;
    logic [LIST_W-1:0] list;
    logic              chain_busy, list_busy, cells_busy, busy;
    entry_slot_t       chain_found, list_found;
    entry_slot_t       link_entry;              // that the chains and lists are asked for
    logic              equal;
    cell_slot_t        first;
    logic              alike;

    name_chains #(.ENTRIES(ENTRIES)) chains (
        .clk, .rst, .clear(clear_reg), .clear_index(clear_index_reg[BUCKET_W-1:0]),
        .start(chain_start), .op(chain_op), .bucket(bucket[BUCKET_W-1:0]), .entry(link_entry), .busy(chain_busy),
        .found(chain_found)
    );
    name_lists #(.INODES(INODES), .ENTRIES(ENTRIES)) lists (
        .clk, .rst, .clear(clear_reg), .clear_index(clear_index_reg[LIST_W-1:0]),
        .start(list_start), .op(list_op), .list, .entry(lent ? look_entry : link_entry), .busy(list_busy),
        .found(list_found)
    );
    name_cells #(.CELLS(CELLS)) cells (
        .clk, .rst, .start(cells_start), .op(cells_op), .which(cmd_reg.which),
        .length(state_reg == ADD ? name_length[7:0] : record.length), .from(lent ? look_from : record.first),
        .busy(cells_busy), .equal, .first, .cell_bytes(look_bytes), .cell_next(look_next), .free(free_cells),
        .bytes_which, .bytes_index, .bytes
    );

    // Slots lie below the size of their table, and a command's entry is in its register.
    logic unused;
    assign unused = &{1'b0, look_directory, cmd_reg, read_index, write_index, bucket};

    assign busy = chain_busy || list_busy || cells_busy;
    assign look_found = list_found;
    assign look_record = record;

    // ---- the lister's turn ----
    assign lent = lend && state_reg == IDLE;
    assign cmd_ready = state_reg == IDLE && ready && !lend;
    assign list_op = lent ? look_op : own_list_op;
    assign cells_op = lent ? CELLS_READ : own_cells_op;

    // ---- what each state asks for ----
    logic removes;
    logic candidate;                            // an entry of the bucket is to be read
    assign removes = state_reg == ACT && cmd_reg.op == NAME_REMOVE;
    assign candidate = state_reg == CANDIDATE || (state_reg == CHECK && !alike);
    assign alike = record.parent == cmd_reg.parent && record.kind == cmd_reg.kind && record.hash == name_hash
        && 9'(record.length) == name_length;

    always_comb begin
        bucket = bucket_hash(name_hash, cmd_reg.kind, cmd_reg.parent);
        list = {cmd_reg.kind, cmd_reg.parent[NODE_W-1:0]};
        if (state_reg == ACT) begin
            bucket = bucket_hash(record.hash, record.kind, record.parent);
            list = {record.kind, record.parent[NODE_W-1:0]};
        end
        if (lent) list = {KIND_DIRECTORY, look_directory[NODE_W-1:0]};

        chain_start = state_reg == LOOK || candidate || (state_reg == ADD && slot_valid) || removes;
        chain_op = CHAIN_NEXT;
        if (state_reg == LOOK) chain_op = CHAIN_FIRST;
        if (state_reg == ADD) chain_op = CHAIN_INSERT;
        if (removes) chain_op = CHAIN_CUT;
        link_entry = chain_found;
        if (state_reg == ADD) link_entry = slot;
        if (removes) link_entry = entry_reg;

        list_start = (lent && look_list) || state_reg == HEAD || (state_reg == ADD && slot_valid) || removes;
        own_list_op = LIST_FIRST;
        if (state_reg == ADD) own_list_op = LIST_APPEND;
        if (removes) own_list_op = LIST_CUT;

        cells_start = (lent && look_cell) || (state_reg == CHECK && alike) || (state_reg == ADD && slot_valid)
            || removes;
        own_cells_op = CELLS_COMPARE;
        if (state_reg == ADD) own_cells_op = CELLS_STORE;
        if (removes) own_cells_op = CELLS_FREE;

        record_read = (lent && look_name) || candidate || state_reg == FETCH;
        read_index = chain_found;
        if (state_reg == FETCH) read_index = cmd_reg.op == NAME_FIRST ? list_found : entry_reg;
        if (lent) read_index = look_entry;
    end

    // ---- changes of entries ----
    assign take = state_reg == ADD && slot_valid;
    assign give = removes;
    always_comb begin
        record_write = clear_reg;
        write_index = entry_slot_t'(clear_index_reg);
        change = '0;
        if (state_reg == ACT) begin
            record_write = cmd_reg.op != NAME_FIRST;
            write_index = entry_reg;
            change = record;
            change.child = cmd_reg.child;
            if (removes) change = '0;
        end
        if (state_reg == WAIT) begin
            record_write = cmd_reg.op == NAME_ADD && !busy;
            write_index = entry_reg;
            change = '{
                kind: cmd_reg.kind, parent: cmd_reg.parent, child: cmd_reg.child, hash: name_hash,
                length: name_length[7:0], first: first, sequence_number: sequence_reg
            };
        end
    end

    // ---- the steps ----
    always_ff @(posedge clk) begin
        rsp_valid <= 1'b0;
        case (state_reg)
            IDLE: if (cmd_valid && cmd_ready) begin
                cmd_reg <= cmd;
                entry_reg <= cmd.entry;
                rsp <= '0;
                case (cmd.op)
                    NAME_FIND: state_reg <= LOOK;
                    NAME_ADD: state_reg <= ADD;
                    NAME_FIRST: state_reg <= HEAD;
                    default: state_reg <= FETCH;
                endcase
            end
            LOOK: state_reg <= CANDIDATE;
            CANDIDATE, CHECK: begin
                if (candidate) entry_reg <= chain_found;
                state_reg <= candidate ? CHECK : COMPARE;
                if (candidate && chain_found == '0) begin
                    rsp_valid <= 1'b1;
                    state_reg <= IDLE;
                end
            end
            COMPARE: if (!cells_busy) begin
                state_reg <= CANDIDATE;
                if (equal) begin
                    rsp <= '{found: 1'b1, entry: entry_reg, child: record.child};
                    rsp_valid <= 1'b1;
                    state_reg <= IDLE;
                end
            end
            ADD: if (slot_valid) begin
                entry_reg <= slot;
                state_reg <= WAIT;
            end
            HEAD: state_reg <= FETCH;
            FETCH: begin
                if (cmd_reg.op == NAME_FIRST) entry_reg <= list_found;
                state_reg <= ACT;
            end
            ACT: state_reg <= WAIT;
            default: if (!busy) begin
                rsp <= '{found: entry_reg != '0, entry: entry_reg, child: record.child};
                rsp_valid <= 1'b1;
                if (cmd_reg.op == NAME_ADD) sequence_reg <= sequence_reg + 32'd1;
                state_reg <= IDLE;
            end
        endcase
        if (rst) begin
            rsp_valid <= 1'b0;
            sequence_reg <= 32'd1;
            state_reg <= IDLE;
        end
    end
endmodule
