// READDIR and READDIRPLUS: puts whole records of a directory into the listing buffer until its end, or until one does
// not fit. READDIRPLUS counts one more lookup of each inode that it shows, but not for "." and "..", nor for the DPU.
//
// Between two records the lister stands still while `hold` is high.
module directory_lister
    import ramfs_pkg::*, name_pkg::*, ramfs_reply_pkg::*;
#(
    parameter int unsigned ENTRIES = 2048
) (
    input  logic        clk,
    input  logic        rst,

    input  logic        list_valid,
    output logic        list_ready,
    input  list_cmd_t   list,
    output logic        list_done,          // one cycle
    input  logic        hold,
    output logic        holding,

    // The name table is lent from `lend` on, as soon as `lent` tells so.
    output logic        lend,
    input  logic        lent,
    output logic        look_list,
    output list_op_e    look_op,
    output node_slot_t  look_directory,
    output logic        look_name,
    output entry_slot_t look_entry,
    output logic        look_cell,
    output cell_slot_t  look_from,
    input  entry_slot_t look_found,
    input  entry_t      look_record,
    input  cell_bytes_t look_bytes,
    input  cell_slot_t  look_next,

    output logic        node_valid,
    input  logic        node_ready,
    output logic        node_write,
    output node_slot_t  node_slot,
    output node_t       node_wdata,
    input  node_t       node_rdata,         // one cycle after an accepted read

    output logic        begin_listing,
    output logic        put,
    output logic [63:0] put_data,
    input  logic [12:0] bytes,              // put so far
    output logic        send,
    input  logic        sending
);
    localparam logic [31:0] DT_DIR = 32'd4;
    localparam logic [6:0] DIRENT_AT = 7'($bits(fuse_entry_out_t) / 64);    // of a record, in units of 8 bytes
    localparam logic [6:0] NAME_AT = 7'($bits(fuse_direntplus_t) / 64);

    typedef enum logic [3:0] {IDLE, DOT, SEEK, RESUME, HEAD, ENTRY, FIT, NODE, COUNT, EMIT, FINISH} state_e;
    state_e      state_reg;
    list_cmd_t   list_reg;
    logic [1:0]  dots_reg;                  // 0: "." is next, 1: "..", 2: names
    entry_slot_t entry_reg;

    // ---- where to go on: behind the name of the cookie, or where its sequence would be ----
    logic [31:0] resume_slot;
    logic        resume_known;              // the cookie's name still exists
    assign resume_slot = list_reg.cookie[31:0];
    assign resume_known = resume_slot < ENTRIES && look_record.sequence_number == list_reg.cookie[63:32]
        && list_reg.cookie[63:32] != '0 && look_record.kind == KIND_DIRECTORY
        && look_record.parent == list_reg.directory;

    logic unused;
    assign unused = &{1'b0, look_record};

    // ---- the record ----
    fuse_direntplus_t head;
    node_t            node_reg;
    logic             fresh_reg;            // node_rdata comes in this cycle
    node_t            node;
    logic [6:0]       pieces;               // of 8 bytes
    logic [7:0]       length;
    logic             fits;
    logic [6:0]       piece_reg;
    logic [6:0]       last_piece;
    logic             in_name;
    logic [1:0]       name_lane;            // of a cell
    logic             dots;

    assign dots = dots_reg != 2'd2;
    assign length = dots ? 8'(dots_reg) + 8'd1 : look_record.length;
    assign last_piece = NAME_AT + 7'((length - 8'd1) >> 3);
    assign pieces = last_piece + 7'd1 - (list_reg.plus ? 7'd0 : DIRENT_AT);
    assign fits = bytes + {3'b0, pieces, 3'b0} <= list_reg.budget;
    assign node = fresh_reg ? node_rdata : node_reg;

    always_comb begin
        head = '0;
        if (dots) begin
            head.dirent.ino = dots_reg == 2'd0 ? list_reg.directory_id : list_reg.parent_id;
            head.dirent.off = 64'(dots_reg) + 64'd1;
            head.dirent.file_type = DT_DIR;
        end else begin
            head.entry_out = entry_out(look_record.child, node, list_reg.valid_seconds);
            head.dirent.ino = nodeid(look_record.child, node);
            head.dirent.off = {look_record.sequence_number, 32'(entry_reg)};
            head.dirent.file_type = {28'b0, node.mode[15:12]};
        end
        head.dirent.namelen = 32'(length);
    end

    assign in_name = piece_reg >= NAME_AT;
    assign name_lane = piece_reg[1:0] - NAME_AT[1:0];
    assign put = state_reg == EMIT;
    always_comb begin
        if (!in_name) put_data = head[64 * 32'(piece_reg) +: 64];
        else if (dots) put_data = dots_reg == 2'd0 ? 64'h2E : 64'h2E2E;
        else put_data = look_bytes[64 * name_lane +: 64];
    end

    // ---- what is looked up ----
    assign lend = state_reg != IDLE && state_reg != FINISH;
    assign look_list = state_reg == SEEK || state_reg == HEAD || (state_reg == ENTRY && !hold);
    assign look_op = state_reg == HEAD ? LIST_FIRST : LIST_NEXT;
    assign look_directory = list_reg.directory;
    assign look_name = state_reg == SEEK || (state_reg == ENTRY && !hold);
    assign look_entry = state_reg == SEEK ? entry_slot_t'(resume_slot) : look_found;
    // The first cell while the node is fetched, then each next one just before it is needed.
    assign look_cell = state_reg == NODE || (state_reg == EMIT && in_name && name_lane == 2'd3);
    assign look_from = state_reg == NODE ? look_record.first : look_next;

    assign node_valid = state_reg == NODE || state_reg == COUNT;
    assign node_write = state_reg == COUNT;
    assign node_slot = look_record.child;
    always_comb begin
        node_wdata = node;
        node_wdata.lookups = node.lookups + 32'd1;
    end

    // ---- the steps ----
    logic begin_record;
    assign begin_record = (state_reg == DOT && lent && !hold && fits)
        || (state_reg == COUNT && node_ready)
        || (state_reg == NODE && node_ready && !list_reg.look);

    always_ff @(posedge clk) begin
        list_done <= 1'b0;
        fresh_reg <= state_reg == NODE && node_ready;
        if (fresh_reg) node_reg <= node_rdata;
        if (begin_record) piece_reg <= list_reg.plus ? '0 : DIRENT_AT;
        case (state_reg)
            IDLE: if (list_valid && list_ready) begin
                list_reg <= list;
                dots_reg <= list.cookie > 64'd1 ? 2'd2 : list.cookie[1:0];
                state_reg <= list.cookie > 64'd1 ? SEEK : DOT;
            end
            DOT: if (lent && !hold) state_reg <= fits ? EMIT : FINISH;
            SEEK: if (lent) state_reg <= RESUME;
            RESUME: state_reg <= resume_known ? ENTRY : HEAD;
            HEAD: if (lent) state_reg <= ENTRY;
            ENTRY: if (!hold) begin
                entry_reg <= look_found;
                state_reg <= look_found == '0 ? FINISH : FIT;
            end
            FIT: begin
                state_reg <= NODE;
                if (look_record.sequence_number <= list_reg.cookie[63:32]) state_reg <= ENTRY;
                else if (!fits) state_reg <= FINISH;
            end
            NODE: if (node_ready) state_reg <= list_reg.look ? COUNT : EMIT;
            COUNT: if (node_ready) state_reg <= EMIT;
            EMIT: begin
                piece_reg <= piece_reg + 7'd1;
                if (piece_reg == last_piece) begin
                    if (dots) dots_reg <= dots_reg + 2'd1;
                    state_reg <= !dots ? ENTRY : dots_reg == 2'd0 ? DOT : HEAD;
                end
            end
            default: begin
                list_done <= 1'b1;
                state_reg <= IDLE;
            end
        endcase
        if (rst) begin
            list_done <= 1'b0;
            state_reg <= IDLE;
        end
    end

    assign list_ready = state_reg == IDLE && !hold && !sending && !list_done;
    assign begin_listing = list_valid && list_ready;
    assign send = list_done;
    assign holding = hold && (state_reg == IDLE || state_reg == DOT || state_reg == ENTRY || state_reg == FINISH);
endmodule
