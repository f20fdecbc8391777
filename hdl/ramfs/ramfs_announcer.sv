// Tells the session what a request of the DPU has changed: the messages of docs/notifications.md ("What is announced"),
// in its order. A name's bytes come from the parser, which still has those of the request.
//
// A message is made of words of 8 bytes, one in two cycles.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module ramfs_announcer
    import endpoint_pkg::*, notify_pkg::*, ramfs_pkg::*, ramfs_core_pkg::*, ramfs_message_pkg::*, ramfs_row_pkg::*,
        name_pkg::*;
#(
    parameter int unsigned DATA_W = 256
) (
    input  logic             clk,
    input  logic             rst,
    input  logic             start,            // the request changed what it asked for
    output logic             done,             // one cycle: all was handed over
    output logic             contents,         // data or size of an inode is what it changed
    output node_slot_t       contents_slot,
    input  logic             listens,          // there is somebody to tell
    input  epoch_t           epoch,
    input  in_header_t       header,
    input  body_t            body,
    input  row_t             row,
    input  found_t           found,
    input  name_info_t [1:0] names,
    output logic             bytes_read,       // the parser's bytes of a name, a cycle later
    output logic             bytes_which,
    output logic [2:0]       bytes_index,
    input  cell_bytes_t      bytes,
    stream_if.src            out
);
    localparam int unsigned BEAT = DATA_W / 8;
    localparam int unsigned BEAT_W = $clog2(BEAT);
    localparam int unsigned LANE_W = $clog2(BEAT / 8);
    localparam logic [2:0] END = 3'd6;              // of the steps

    typedef logic [5:0] index_t;               // of a word in the message
    typedef enum logic [1:0] { IDLE, READ, GATHER, SEND } state_e;
    state_e     state_reg;
    logic [2:0] step_reg;
    index_t     index_reg;

    // ---- what the steps of a request are ----

    setattr_in_t   setattr;
    create_in_t    create;
    transfer_in_t  transfer;
    fallocate_in_t fallocate;
    rename_in_t    rename;
    assign setattr = setattr_in_t'(body);
    assign create = create_in_t'(body);
    assign transfer = transfer_in_t'(body);
    assign fallocate = fallocate_in_t'(body);
    assign rename = rename_in_t'(body);

    logic         opens;                       // what is there already
    logic         cuts;
    logic         moves;
    fact_t        file;
    assign opens = row.act == ACT_OPEN || (row.act == ACT_CREATE && found.first.found);
    assign file = row.act == ACT_CREATE ? found.c : found.a;
    assign cuts = opens && is_regular(file) && (create.flags & O_TRUNC) != 0 && (create.flags & O_ACCMODE) != 0;
    assign moves = row.act == ACT_RENAME && !(found.second.found && found.c.slot == found.d.slot);

    always_comb begin
        case (row.act)
            ACT_WRITE: contents = transfer.size != 0;
            ACT_SETATTR: contents = setattr.valid[FATTR_SIZE];
            ACT_FALLOCATE: contents = (fallocate.mode & (FALLOC_PUNCH_HOLE | FALLOC_ZERO_RANGE)) != 0;
            default: contents = cuts;
        endcase
    end
    assign contents_slot = file.slot;

    logic         says;
    notify_code_e code;
    fact_t        about;                       // the inode, or the directory of the name
    logic         which;
    logic [63:0]  offset;
    logic [63:0]  length;
    always_comb begin
        says = 1'b0;
        code = NOTIFY_INVAL_INODE;
        about = found.a;
        which = 1'b0;
        offset = ATTRIBUTES_ONLY;
        length = '0;
        if (opens) begin
            says = cuts && step_reg == 3'd0;
            about = file;
            offset = '0;
        end else case (row.act)
            ACT_WRITE: begin
                says = step_reg == 3'd0;
                if (contents) begin
                    offset = transfer.offset;
                    length = 64'(transfer.size);
                end
            end
            ACT_SETATTR: begin
                says = step_reg == 3'd0;
                if (contents) offset = setattr.size;
            end
            ACT_FALLOCATE: begin
                says = step_reg == 3'd0;
                if (contents) begin
                    offset = fallocate.offset;
                    length = fallocate.length;
                end
            end
            ACT_MAKE, ACT_CREATE, ACT_LINK, ACT_REMOVE: case (step_reg)
                3'd0: begin
                    says = 1'b1;
                    code = row.act == ACT_REMOVE ? NOTIFY_DELETE : NOTIFY_INVAL_ENTRY;
                end
                3'd1: begin
                    says = row.act == ACT_LINK || row.act == ACT_REMOVE;
                    about = row.act == ACT_LINK ? found.b : found.c;
                end
                default: says = step_reg == 3'd2;
            endcase
            ACT_RENAME: begin
                says = moves;
                case (step_reg)
                    3'd0: code = NOTIFY_INVAL_ENTRY;
                    3'd1: begin
                        code = NOTIFY_INVAL_ENTRY;
                        about = found.b;
                        which = 1'b1;
                    end
                    3'd2: about = found.c;
                    3'd3: begin
                        says = moves && found.second.found;
                        about = found.d;
                    end
                    3'd4: about = found.a;
                    3'd5: begin
                        says = moves && found.b.slot != found.a.slot;
                        about = found.b;
                    end
                    default: says = 1'b0;
                endcase
            end
            default: says = 1'b0;
        endcase
        if (!about.cached || !listens) says = 1'b0;
    end

    // ---- the words of a message ----

    logic [8:0]  name_bytes;
    index_t      name_at;                      // its first word
    index_t      name_word;
    logic [15:0] size;
    logic [63:0] word;
    assign name_bytes = names[which].length;
    assign name_at = code == NOTIFY_DELETE ? 6'd5 : 6'd4;
    assign name_word = index_reg - name_at;
    assign size = code == NOTIFY_INVAL_INODE ? 16'(INVAL_BYTES) : {7'b0, name_at, 3'b0} + 16'(name_bytes) + 16'd1;
    assign bytes_read = state_reg == READ;
    assign bytes_which = which;
    assign bytes_index = name_word[4:2];

    always_comb begin
        case (index_reg)
            6'd0: word = {code, 16'b0, size};
            6'd1: word = '0;
            6'd2: word = identity(about);
            6'd3: begin
                word = offset;
                if (code == NOTIFY_INVAL_ENTRY) word = 64'(name_bytes);
                if (code == NOTIFY_DELETE) word = identity(found.c);
            end
            6'd4: begin
                word = length;
                if (code == NOTIFY_INVAL_ENTRY) word = bytes[63:0];
                if (code == NOTIFY_DELETE) word = 64'(name_bytes);
            end
            default: word = bytes[64 * name_word[1:0] +: 64];
        endcase
    end

    // ---- the stream ----

    logic [DATA_W-1:0] beat_reg;
    logic [LANE_W-1:0] lane;
    logic [15:0]       last_byte;
    logic              last;
    engine_notify_t    user;
    assign lane = index_reg[LANE_W-1:0];
    assign last_byte = size - 16'd1;
    assign last = index_reg == last_byte[8:3];

    always_comb begin
        user = '0;
        user.length = 32'(size);
        user.epoch = 8'(epoch);
        user.msg_class = CLASS_INVALIDATION;
    end
    assign out.valid = state_reg == SEND;
    assign out.last = last;
    assign out.data = beat_reg;
    assign out.bytes = last ? (BEAT_W + 1)'(last_byte[BEAT_W-1:0]) + 1'b1 : (BEAT_W + 1)'(BEAT);
    assign out.user = user;

    logic on_reg;                              // a request's steps are gone through
    assign done = on_reg && state_reg == IDLE && step_reg == END;

    always_ff @(posedge clk) begin
        case (state_reg)
            IDLE: begin
                index_reg <= '0;
                if (start) begin
                    on_reg <= 1'b1;
                    step_reg <= '0;
                end else if (on_reg) begin
                    if (says) state_reg <= READ;
                    else if (step_reg == END) on_reg <= 1'b0;
                    else step_reg <= step_reg + 1'b1;
                end
            end
            READ: state_reg <= GATHER;
            GATHER: begin
                beat_reg[64 * lane +: 64] <= word;
                index_reg <= index_reg + 6'(!(last || &lane));
                state_reg <= last || &lane ? SEND : READ;
            end
            default: if (out.ready) begin
                index_reg <= index_reg + 1'b1;
                state_reg <= READ;
                if (last) begin
                    state_reg <= IDLE;
                    step_reg <= step_reg + 1'b1;
                end
            end
        endcase
        if (rst) begin
            state_reg <= IDLE;
            on_reg <= 1'b0;
        end
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
