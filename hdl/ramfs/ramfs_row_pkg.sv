// The opcodes of the ramfs engine: each is a row that tells the phases what to do (docs/file-system.md, "Opcodes").
package ramfs_row_pkg;

    localparam logic [31:0] OP_LOOKUP = 32'd1;
    localparam logic [31:0] OP_FORGET = 32'd2;
    localparam logic [31:0] OP_GETATTR = 32'd3;
    localparam logic [31:0] OP_SETATTR = 32'd4;
    localparam logic [31:0] OP_READLINK = 32'd5;
    localparam logic [31:0] OP_SYMLINK = 32'd6;
    localparam logic [31:0] OP_MKNOD = 32'd8;
    localparam logic [31:0] OP_MKDIR = 32'd9;
    localparam logic [31:0] OP_UNLINK = 32'd10;
    localparam logic [31:0] OP_RMDIR = 32'd11;
    localparam logic [31:0] OP_RENAME = 32'd12;
    localparam logic [31:0] OP_LINK = 32'd13;
    localparam logic [31:0] OP_OPEN = 32'd14;
    localparam logic [31:0] OP_READ = 32'd15;
    localparam logic [31:0] OP_WRITE = 32'd16;
    localparam logic [31:0] OP_STATFS = 32'd17;
    localparam logic [31:0] OP_RELEASE = 32'd18;
    localparam logic [31:0] OP_FSYNC = 32'd20;
    localparam logic [31:0] OP_FLUSH = 32'd25;
    localparam logic [31:0] OP_INIT = 32'd26;
    localparam logic [31:0] OP_OPENDIR = 32'd27;
    localparam logic [31:0] OP_READDIR = 32'd28;
    localparam logic [31:0] OP_RELEASEDIR = 32'd29;
    localparam logic [31:0] OP_FSYNCDIR = 32'd30;
    localparam logic [31:0] OP_GETLK = 32'd31;
    localparam logic [31:0] OP_SETLK = 32'd32;
    localparam logic [31:0] OP_SETLKW = 32'd33;
    localparam logic [31:0] OP_ACCESS = 32'd34;
    localparam logic [31:0] OP_CREATE = 32'd35;
    localparam logic [31:0] OP_INTERRUPT = 32'd36;
    localparam logic [31:0] OP_DESTROY = 32'd38;
    localparam logic [31:0] OP_POLL = 32'd40;
    localparam logic [31:0] OP_NOTIFY_REPLY = 32'd41;
    localparam logic [31:0] OP_BATCH_FORGET = 32'd42;
    localparam logic [31:0] OP_FALLOCATE = 32'd43;
    localparam logic [31:0] OP_READDIRPLUS = 32'd44;
    localparam logic [31:0] OP_RENAME2 = 32'd45;
    localparam logic [31:0] OP_TMPFILE = 32'd51;
    localparam logic [31:0] OP_INIT_SWAPPED = 32'h1A00_0000;

    // What is done once everything was found.
    typedef enum logic [4:0] {
        ACT_UNKNOWN,      // the opcode is not served
        ACT_NOTHING,
        ACT_INIT,
        ACT_DESTROY,
        ACT_LOOKUP,
        ACT_SETATTR,
        ACT_MAKE,         // a new inode, and its name
        ACT_CREATE,       // the same, or open what the name leads to
        ACT_REMOVE,
        ACT_RENAME,
        ACT_LINK,
        ACT_OPEN,
        ACT_CLOSE,        // some locks go too
        ACT_LOCK,
        ACT_FLUSH,        // locks go
        ACT_READ,
        ACT_READLINK,
        ACT_WRITE,
        ACT_FALLOCATE,
        ACT_LIST,
        ACT_POLL,
        ACT_KEEP          // for the DPU
    } act_e;

    // Which type the inode of the request must have, and with which error otherwise.
    typedef enum logic [2:0] {
        NODE_NONE,        // the nodeid does not count
        NODE_ANY,
        NODE_DIRECTORY,   // ENOTDIR
        NODE_OPENABLE,    // EISDIR, ELOOP
        NODE_FILE,        // EISDIR, EINVAL
        NODE_SYMLINK      // EINVAL
    } node_rule_e;

    // Of the second id, 40 bytes into the message.
    typedef enum logic [1:0] {
        OTHER_NONE,
        OTHER_AFTER,      // a directory, looked at behind the first
        OTHER_BEFORE      // any inode, looked at before the first
    } other_rule_e;

    typedef enum logic [1:0] {
        HANDLE_NONE,
        HANDLE_FIRST,     // the structure begins with an fh
        HANDLE_SETATTR    // it has one if FATTR_FH says so
    } handle_rule_e;

    // How many names there are, and what a "." and a ".." stands for.
    typedef enum logic [2:0] {
        NAMES_NONE,
        NAME_TO_LOOK_UP,  // the directory and its parent
        NAME_TO_UNLINK,   // EBUSY
        NAME_TO_RMDIR,    // EINVAL, ENOTEMPTY
        NAME_TO_MAKE,     // EEXIST
        NAMES_TO_RENAME   // two: EBUSY
    } name_rule_e;

    typedef enum logic [3:0] {
        REPLY_NONE,       // never answered
        REPLY_EMPTY,
        REPLY_INIT,
        REPLY_ENTRY,
        REPLY_ATTR,
        REPLY_OPEN,
        REPLY_CREATE,     // entry, then open
        REPLY_STATFS,
        REPLY_WRITE,
        REPLY_LOCK,
        REPLY_POLL,
        REPLY_SIZED,      // up to `size` bytes, as the request says
        REPLY_TARGET
    } reply_e;

    typedef struct packed {
        act_e         act;
        logic [7:0]   bytes;             // of header and structure
        node_rule_e   node;
        other_rule_e  other;
        handle_rule_e handle;
        name_rule_e   names;
        reply_e       reply;
    } row_t;

    function automatic row_t make_row(input act_e act, input logic [7:0] structure, input node_rule_e node,
                                 input name_rule_e names, input reply_e reply,
                                 input handle_rule_e handle = HANDLE_NONE, input other_rule_e other = OTHER_NONE);
        make_row.act = act;
        make_row.bytes = 8'd40 + structure;
        make_row.node = node;
        make_row.other = other;
        make_row.handle = handle;
        make_row.names = names;
        make_row.reply = reply;
    endfunction

    function automatic row_t row_of(input logic [31:0] opcode);
        case (opcode)
            OP_LOOKUP: return make_row(ACT_LOOKUP, 0, NODE_DIRECTORY, NAME_TO_LOOK_UP, REPLY_ENTRY);
            OP_GETATTR: return make_row(ACT_NOTHING, 16, NODE_ANY, NAMES_NONE, REPLY_ATTR);
            OP_SETATTR: return make_row(ACT_SETATTR, 88, NODE_ANY, NAMES_NONE, REPLY_ATTR, HANDLE_SETATTR);
            OP_READLINK: return make_row(ACT_READLINK, 0, NODE_SYMLINK, NAMES_NONE, REPLY_TARGET);
            OP_SYMLINK: return make_row(ACT_MAKE, 0, NODE_DIRECTORY, NAME_TO_MAKE, REPLY_ENTRY);
            OP_MKNOD: return make_row(ACT_MAKE, 16, NODE_DIRECTORY, NAME_TO_MAKE, REPLY_ENTRY);
            OP_MKDIR: return make_row(ACT_MAKE, 8, NODE_DIRECTORY, NAME_TO_MAKE, REPLY_ENTRY);
            OP_UNLINK: return make_row(ACT_REMOVE, 0, NODE_DIRECTORY, NAME_TO_UNLINK, REPLY_EMPTY);
            OP_RMDIR: return make_row(ACT_REMOVE, 0, NODE_DIRECTORY, NAME_TO_RMDIR, REPLY_EMPTY);
            OP_RENAME: return make_row(ACT_RENAME, 8, NODE_DIRECTORY, NAMES_TO_RENAME, REPLY_EMPTY, HANDLE_NONE, OTHER_AFTER);
            OP_RENAME2:
                return make_row(ACT_RENAME, 16, NODE_DIRECTORY, NAMES_TO_RENAME, REPLY_EMPTY, HANDLE_NONE, OTHER_AFTER);
            OP_LINK: return make_row(ACT_LINK, 8, NODE_DIRECTORY, NAME_TO_MAKE, REPLY_ENTRY, HANDLE_NONE, OTHER_BEFORE);
            OP_OPEN: return make_row(ACT_OPEN, 8, NODE_OPENABLE, NAMES_NONE, REPLY_OPEN);
            OP_OPENDIR: return make_row(ACT_OPEN, 8, NODE_DIRECTORY, NAMES_NONE, REPLY_OPEN);
            OP_CREATE: return make_row(ACT_CREATE, 16, NODE_DIRECTORY, NAME_TO_MAKE, REPLY_CREATE);
            OP_TMPFILE: return make_row(ACT_MAKE, 16, NODE_DIRECTORY, NAMES_NONE, REPLY_CREATE);
            OP_READ: return make_row(ACT_READ, 40, NODE_FILE, NAMES_NONE, REPLY_SIZED, HANDLE_FIRST);
            OP_WRITE: return make_row(ACT_WRITE, 40, NODE_FILE, NAMES_NONE, REPLY_WRITE, HANDLE_FIRST);
            OP_FLUSH: return make_row(ACT_FLUSH, 24, NODE_ANY, NAMES_NONE, REPLY_EMPTY, HANDLE_FIRST);
            OP_FSYNC, OP_FSYNCDIR:
                return make_row(ACT_NOTHING, 16, NODE_ANY, NAMES_NONE, REPLY_EMPTY, HANDLE_FIRST);
            OP_RELEASE, OP_RELEASEDIR:
                return make_row(ACT_CLOSE, 24, NODE_ANY, NAMES_NONE, REPLY_EMPTY, HANDLE_FIRST);
            OP_GETLK: return make_row(ACT_LOCK, 48, NODE_ANY, NAMES_NONE, REPLY_LOCK, HANDLE_FIRST);
            OP_SETLK, OP_SETLKW: return make_row(ACT_LOCK, 48, NODE_ANY, NAMES_NONE, REPLY_EMPTY, HANDLE_FIRST);
            OP_READDIR, OP_READDIRPLUS:
                return make_row(ACT_LIST, 40, NODE_DIRECTORY, NAMES_NONE, REPLY_SIZED, HANDLE_FIRST);
            OP_STATFS: return make_row(ACT_NOTHING, 0, NODE_ANY, NAMES_NONE, REPLY_STATFS);
            OP_ACCESS: return make_row(ACT_NOTHING, 8, NODE_ANY, NAMES_NONE, REPLY_EMPTY);
            OP_FALLOCATE: return make_row(ACT_FALLOCATE, 32, NODE_FILE, NAMES_NONE, REPLY_EMPTY, HANDLE_FIRST);
            OP_INIT: return make_row(ACT_INIT, 16, NODE_NONE, NAMES_NONE, REPLY_INIT);
            OP_DESTROY: return make_row(ACT_DESTROY, 0, NODE_NONE, NAMES_NONE, REPLY_EMPTY);
            OP_POLL: return make_row(ACT_POLL, 24, NODE_ANY, NAMES_NONE, REPLY_POLL, HANDLE_FIRST);
            OP_NOTIFY_REPLY: return make_row(ACT_KEEP, 0, NODE_NONE, NAMES_NONE, REPLY_NONE);
            default: return make_row(ACT_UNKNOWN, 0, NODE_NONE, NAMES_NONE, REPLY_EMPTY);
        endcase
    endfunction

    function automatic logic asks_locks(input act_e act);
        return act == ACT_LOCK || act == ACT_FLUSH || act == ACT_CLOSE;
    endfunction

    function automatic logic may_poll(input act_e act);
        return act == ACT_POLL || act == ACT_CLOSE;
    endfunction

    // For the DPU (docs/notifications.md): no file needs to be open, none is closed, no session begins or ends.
    function automatic row_t row_of_dpu(input logic [31:0] opcode);
        row_of_dpu = row_of(opcode);
        row_of_dpu.handle = HANDLE_NONE;
        case (opcode)
            OP_RELEASE, OP_RELEASEDIR, OP_FLUSH: row_of_dpu.act = ACT_NOTHING;
            OP_INIT, OP_DESTROY, OP_NOTIFY_REPLY, OP_TMPFILE, OP_GETLK, OP_SETLK, OP_SETLKW, OP_POLL:
                row_of_dpu = make_row(ACT_UNKNOWN, 0, NODE_NONE, NAMES_NONE, REPLY_EMPTY);
            default: row_of_dpu.act = row_of_dpu.act;
        endcase
    endfunction

    // Bytes of a reply without error, as far as the row tells.
    function automatic logic [7:0] reply_bytes(input reply_e reply);
        case (reply)
            REPLY_NONE: return 8'd0;
            REPLY_INIT: return 8'd80;
            REPLY_ENTRY: return 8'd144;
            REPLY_ATTR: return 8'd120;
            REPLY_OPEN: return 8'd32;
            REPLY_CREATE: return 8'd160;
            REPLY_STATFS: return 8'd96;
            REPLY_WRITE, REPLY_POLL: return 8'd24;
            REPLY_LOCK: return 8'd40;
            default: return 8'd16;
        endcase
    endfunction

endpackage
