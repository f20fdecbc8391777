// Types of the core of the ramfs engine: what its phases hand on, and what they ask of the node table.
package ramfs_core_pkg;
    import endpoint_pkg::engine_request_t, endpoint_pkg::ENGINE_LANE_DPU, ramfs_pkg::*;

    // Linux's numbers; 0: no error.
    typedef enum logic [6:0] {
        OK = 7'd0,
        EPERM = 7'd1,
        ENOENT = 7'd2,
        EINTR = 7'd4,
        EIO = 7'd5,
        EBADF = 7'd9,
        EAGAIN = 7'd11,
        ENOMEM = 7'd12,
        EBUSY = 7'd16,
        EEXIST = 7'd17,
        ENOTDIR = 7'd20,
        EISDIR = 7'd21,
        EINVAL = 7'd22,
        EFBIG = 7'd27,
        ENOSPC = 7'd28,
        ENAMETOOLONG = 7'd36,
        ENOLCK = 7'd37,
        ENOSYS = 7'd38,
        ENOTEMPTY = 7'd39,
        ELOOP = 7'd40,
        EPROTO = 7'd71,
        EOPNOTSUPP = 7'd95,
        ESTALE = 7'd116
    } errno_e;

    // What a phase thinks of a request. mute: no answer is possible (used length 0). waits: for a lock, and is told so;
    // how it ends is the business of a message.
    typedef struct packed {
        logic   mute;
        logic   waits;
        errno_e error;
    } verdict_t;

    // st_mode >> 12
    localparam logic [3:0] TYPE_FIFO = 4'h1;
    localparam logic [3:0] TYPE_CHAR = 4'h2;
    localparam logic [3:0] TYPE_DIRECTORY = 4'h4;
    localparam logic [3:0] TYPE_BLOCK = 4'h6;
    localparam logic [3:0] TYPE_REGULAR = 4'h8;
    localparam logic [3:0] TYPE_LINK = 4'hA;
    localparam logic [3:0] TYPE_SOCKET = 4'hC;
    localparam logic [15:0] MODE_SETGID = 16'h0400;

    // What the sequencer remembers of an inode. Nothing changes it while a request is served, but for FORGET `cached`.
    typedef struct packed {
        node_slot_t  slot;
        logic [31:0] generation;
        logic [15:0] mode;
        logic [31:0] gid;
        position_t   size;
        node_slot_t  parent;
        logic        removed;            // no name leads to it
        logic        open;
        logic        open_once;
        logic        cached;             // in a session: its client may have it in its cache
    } fact_t;

    // What the finder found out. a: the inode of the request; b: that of its other id (RENAME's new directory, LINK's
    // old inode); c and d: what the first and the second name lead to.
    typedef struct packed {
        fact_t       a;
        fact_t       b;
        fact_t       c;
        fact_t       d;
        name_rsp_t   first;
        name_rsp_t   second;
        logic        filled;             // the directory that has to go has names
        logic        loop;               // a directory would come to lie in itself
    } found_t;

    typedef enum logic [2:0] {
        NODE_READ,
        NODE_PATCH,       // the fields that are named, from `value`
        NODE_MAKE,        // a new inode with `value`, of the next generation
        NODE_RELEASE,     // the session ends: no lookups, no opens
        NODE_BURY         // it dies if nothing holds it
    } node_op_e;

    typedef struct packed {
        logic              mode;
        logic              uid;
        logic              gid;
        logic              size;
        logic              grow;         // the size becomes `value.size` if that is more
        logic              pages;
        logic              parent;
        logic              atime;
        logic              mtime;
        logic              ctime;
        logic              look;         // one lookup more
        logic              open;         // one open more
        logic              close;
        logic signed [2:0] links;        // more or fewer
    } patch_t;

    typedef struct packed {
        node_op_e   op;
        node_slot_t slot;
        patch_t     patch;
        node_t      value;
    } node_cmd_t;

    typedef struct packed {
        node_slot_t  slot;
        logic [31:0] generation;
        logic [63:0] count;
    } forget_t;

    // verilator lint_off UNUSEDSIGNAL
    function automatic logic is_of_dpu(input engine_request_t request);
        return request.lane == ENGINE_LANE_DPU;
    endfunction

    function automatic logic [3:0] file_type(input logic [15:0] mode);
        return mode[15:12];
    endfunction

    function automatic logic is_directory(input fact_t fact);
        return file_type(fact.mode) == TYPE_DIRECTORY;
    endfunction

    function automatic logic is_regular(input fact_t fact);
        return file_type(fact.mode) == TYPE_REGULAR;
    endfunction

    function automatic fact_t fact_of(input node_slot_t slot, input node_t node);
        fact_of.slot = slot;
        fact_of.generation = node.generation;
        fact_of.mode = node.mode;
        fact_of.gid = node.gid;
        fact_of.size = node.size;
        fact_of.parent = node.parent;
        fact_of.removed = node.nlink == 0;
        fact_of.open = node.opens != 0;
        fact_of.open_once = node.opens == 32'd1;
        fact_of.cached = may_be_cached(slot, node);
    endfunction

    function automatic logic may_be_cached(input node_slot_t slot, input node_t node);
        return 32'(slot) == ROOT_SLOT || node.lookups != 0;
    endfunction

    // Nothing holds it. (The root has a name that nobody can take away.)
    function automatic logic is_free(input node_t node);
        return node.nlink == 0 && node.lookups == 0 && node.opens == 0;
    endfunction

    function automatic errno_e errno_of_lock(input lock_result_e result);
        case (result)
            LOCK_CONFLICT: return EAGAIN;
            LOCK_FULL: return ENOLCK;
            LOCK_INVALID: return EINVAL;
            LOCK_INTERRUPTED: return EINTR;
            LOCK_CLOSED: return EBADF;
            default: return OK;
        endcase
    endfunction

    function automatic logic [63:0] identity(input fact_t fact);
        return {fact.generation, 20'b0, fact.slot};
    endfunction
    // verilator lint_on UNUSEDSIGNAL

endpackage
