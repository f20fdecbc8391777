// Looks for all that a request names: the inode of its nodeid, the one of its other id, what its names lead to, whether
// a directory has names, and whether one would come to lie in itself. It stops at the first error.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module ramfs_finder
    import ramfs_pkg::*, ramfs_core_pkg::*, ramfs_message_pkg::*, ramfs_row_pkg::*;
#(
    parameter int unsigned INODES = 1024
) (
    input  logic             clk,
    input  logic             rst,
    input  logic             start,
    input  row_t             row,
    input  in_header_t       header,
    input  body_t            body,
    input  name_info_t [1:0] names,
    input  logic             negative,         // LOOKUP of a name that is not there is no error
    output logic             done,             // one cycle; then `found` stays until the next start
    output errno_e           error,
    output found_t           found,
    output logic             node_valid,
    input  logic             node_ready,
    output node_cmd_t        node,
    input  logic             node_done,
    input  node_t            node_rsp,
    output logic             name_valid,
    input  logic             name_ready,
    output name_cmd_t        name,
    input  logic             name_done,
    input  name_rsp_t        name_rsp
);
    typedef enum logic [2:0] { IDLE, CHOOSE, NODE, NODE_WAIT, NAME, NAME_WAIT } state_e;
    typedef enum logic [3:0] {
        FIRST_ID, SECOND_ID, FIRST_NAME, FIRST_CHILD, SECOND_NAME, SECOND_CHILD, FILLED, LOOP, LOOP_BACK, END
    } step_e;
    state_e     state_reg;
    step_e      step_reg;
    step_e      step_next;
    node_slot_t walk_reg;

    rename_in_t   rename;
    setattr_in_t  setattr;
    transfer_in_t transfer;
    assign rename = rename_in_t'(body);
    assign setattr = setattr_in_t'(body);
    assign transfer = transfer_in_t'(body);
    assign step_next = step_e'(step_reg + 4'd1);

    // ---- ids ----

    logic        is_a;
    logic [63:0] id;
    logic [31:0] flags;
    logic        exchange;
    assign is_a = (step_reg == FIRST_ID) != (row.other == OTHER_BEFORE);
    assign id = is_a ? header.nodeid : rename.other;
    assign flags = header.opcode == OP_RENAME2 ? rename.flags : '0;
    assign exchange = flags == RENAME_EXCHANGE;

    // Of the inode that an id led to.
    fact_t  here;
    logic   uses_fh;
    errno_e node_error;
    assign here = fact_of(node.slot, node_rsp);
    assign uses_fh = row.handle == HANDLE_FIRST || (row.handle == HANDLE_SETATTR && setattr.valid[FATTR_FH]);
    always_comb begin
        node_error = OK;
        if (!node_rsp.alive || node_rsp.generation != id[63:32]) begin
            node_error = ESTALE;
        end else if (!is_a) begin
            if (row.other == OTHER_AFTER && !is_directory(here)) node_error = ENOTDIR;
        end else if (uses_fh && (!here.open ||
                     (row.handle == HANDLE_FIRST ? transfer.fh : setattr.fh) != header.nodeid)) begin
            node_error = EBADF;
        end else begin
            case (row.node)
                NODE_DIRECTORY: if (!is_directory(here)) node_error = ENOTDIR;
                NODE_OPENABLE: if (is_directory(here)) node_error = EISDIR;
                    else if (file_type(here.mode) == TYPE_LINK) node_error = ELOOP;
                NODE_FILE: if (is_directory(here)) node_error = EISDIR;
                    else if (!is_regular(here)) node_error = EINVAL;
                NODE_SYMLINK: if (file_type(here.mode) != TYPE_LINK) node_error = EINVAL;
                default: node_error = OK;
            endcase
        end
    end

    // ---- names ----

    name_info_t looked_for;
    logic       dots;
    errno_e     name_error;
    assign looked_for = names[step_reg == SECOND_NAME];
    assign dots = looked_for.dot || looked_for.dotdot;
    always_comb begin
        name_error = OK;
        if (row.other == OTHER_AFTER && step_reg == FIRST_NAME &&
            flags != 0 && flags != RENAME_NOREPLACE && flags != RENAME_EXCHANGE) name_error = EINVAL;
        else if (row.other == OTHER_BEFORE && is_directory(found.b)) name_error = EPERM;
        else if (dots) begin
            case (row.names)
                NAME_TO_LOOK_UP: if (found.a.removed) name_error = ENOENT;
                NAME_TO_RMDIR: name_error = looked_for.dot ? EINVAL : ENOTEMPTY;
                NAME_TO_MAKE: name_error = EEXIST;
                default: name_error = EBUSY;
            endcase
        end
        else if (32'(looked_for.length) > NAME_BYTES) name_error = ENAMETOOLONG;
        else if (looked_for.length == 0 || looked_for.slash) name_error = EINVAL;
        else if (row.names == NAME_TO_MAKE && found.a.removed) name_error = ENOENT;
        else if (step_reg == SECOND_NAME && found.b.removed) name_error = ENOENT;
    end

    errno_e found_error;                // of the first name
    always_comb begin
        found_error = OK;
        if (row.names == NAME_TO_MAKE) begin
            if (name_rsp.found && row.act != ACT_CREATE) found_error = EEXIST;
        end else if (!name_rsp.found && !(negative && row.names == NAME_TO_LOOK_UP)) begin
            found_error = ENOENT;
        end
    end

    // ---- directories that have to go, directories that would lie in themselves ----

    fact_t      leaving;
    logic       looks_into;
    logic       moves;
    logic       moves_back;
    node_slot_t mover;
    assign leaving = row.act == ACT_REMOVE ? found.c : found.d;
    assign looks_into = row.names == NAME_TO_RMDIR ? is_directory(found.c) :
        row.act == ACT_RENAME && !exchange && found.second.found && is_directory(found.d);
    assign moves = row.act == ACT_RENAME && is_directory(found.c) && found.a.slot != found.b.slot;
    assign moves_back = exchange && found.second.found && is_directory(found.d) && found.a.slot != found.b.slot;
    assign mover = step_reg == LOOP ? found.c.slot : found.d.slot;

    // ---- commands ----

    assign node_valid = state_reg == NODE;
    assign name_valid = state_reg == NAME;
    always_comb begin
        node = '0;
        node.op = NODE_READ;
        case (step_reg)
            FIRST_ID, SECOND_ID: node.slot = id[11:0];
            FIRST_CHILD: node.slot = row.act == ACT_LIST ? found.a.parent : found.first.child;
            SECOND_CHILD: node.slot = found.second.child;
            default: node.slot = walk_reg;
        endcase
        name = '0;
        name.op = step_reg == FILLED ? NAME_FIRST : NAME_FIND;
        name.kind = KIND_DIRECTORY;
        name.which = step_reg == SECOND_NAME;
        name.parent = step_reg == FILLED ? leaving.slot : step_reg == SECOND_NAME ? found.b.slot : found.a.slot;
    end

    always_ff @(posedge clk) begin
        done <= 1'b0;
        case (state_reg)
            IDLE: begin
                step_reg <= FIRST_ID;
                if (start) begin
                    found.first <= '0;
                    found.second <= '0;
                    found.filled <= 1'b0;
                    found.loop <= 1'b0;
                    error <= OK;
                    state_reg <= CHOOSE;
                end
            end
            CHOOSE: begin
                step_reg <= step_next;          // unless there is something to do
                case (step_reg)
                    FIRST_ID, SECOND_ID: if (step_reg == FIRST_ID ? row.node != NODE_NONE : row.other != OTHER_NONE) begin
                        step_reg <= step_reg;
                        state_reg <= NODE;
                        if (id[31:0] >= INODES) begin
                            error <= ESTALE;
                            step_reg <= END;
                            state_reg <= CHOOSE;
                        end
                    end
                    FIRST_NAME, SECOND_NAME: if (step_reg == FIRST_NAME ? row.names != NAMES_NONE :
                                                 row.names == NAMES_TO_RENAME) begin
                        if (name_error != OK) begin
                            error <= name_error;
                            step_reg <= END;
                        end else if (dots) begin
                            found.first.found <= 1'b1;
                            found.first.child <= looked_for.dot ? found.a.slot : found.a.parent;
                        end else begin
                            step_reg <= step_reg;
                            state_reg <= NAME;
                        end
                    end
                    FIRST_CHILD, SECOND_CHILD:
                        if (step_reg == FIRST_CHILD ? found.first.found || row.act == ACT_LIST : found.second.found) begin
                            step_reg <= step_reg;
                            state_reg <= NODE;
                        end
                    FILLED: if (looks_into) begin
                        step_reg <= step_reg;
                        state_reg <= NAME;
                    end
                    LOOP, LOOP_BACK: if (step_reg == LOOP ? moves : moves_back) begin
                        if (walk_reg == mover) begin
                            found.loop <= 1'b1;
                        end else if (32'(walk_reg) != ROOT_SLOT) begin
                            step_reg <= step_reg;
                            state_reg <= NODE;
                        end
                    end
                    default: begin
                        done <= 1'b1;
                        state_reg <= IDLE;
                    end
                endcase
                if (step_reg == FILLED) walk_reg <= found.b.slot;
                if (step_reg == LOOP && !(moves && walk_reg != mover && 32'(walk_reg) != ROOT_SLOT))
                    walk_reg <= found.a.slot;
            end
            NODE: if (node_ready) state_reg <= NODE_WAIT;
            NODE_WAIT: if (node_done) begin
                state_reg <= CHOOSE;
                step_reg <= step_next;
                case (step_reg)
                    FIRST_ID, SECOND_ID: begin
                        if (is_a) found.a <= here;
                        else found.b <= here;
                        error <= node_error;
                        if (node_error != OK) step_reg <= END;
                    end
                    FIRST_CHILD: found.c <= here;
                    SECOND_CHILD: found.d <= here;
                    default: begin
                        walk_reg <= here.parent;
                        step_reg <= step_reg;
                    end
                endcase
            end
            NAME: if (name_ready) state_reg <= NAME_WAIT;
            default: if (name_done) begin
                state_reg <= CHOOSE;
                step_reg <= step_next;
                if (step_reg == FILLED) begin
                    found.filled <= name_rsp.found;
                    walk_reg <= found.b.slot;
                end else if (step_reg == FIRST_NAME) begin
                    found.first <= name_rsp;
                    error <= found_error;
                    if (found_error != OK) step_reg <= END;
                end else begin
                    found.second <= name_rsp;
                end
            end
        endcase
        if (rst) begin
            state_reg <= IDLE;
            done <= 1'b0;
        end
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
