// Structures of FUSE replies that more than one unit writes (linux/fuse.h, protocol 7.45), as they lie in a stream: byte 0
// in bits 7:0. A packed structure's last member has the lowest bits, so members are written here in reverse order.
package ramfs_reply_pkg;
    import ramfs_pkg::*;

    localparam logic [31:0] BLOCK_BYTES = 32'd4096;     // st_blksize

    // struct fuse_attr, 88 bytes.
    typedef struct packed {
        logic [31:0] flags;
        logic [31:0] blksize;
        logic [31:0] rdev;
        logic [31:0] gid;
        logic [31:0] uid;
        logic [31:0] nlink;
        logic [31:0] mode;
        logic [31:0] ctimensec;
        logic [31:0] mtimensec;
        logic [31:0] atimensec;
        logic [63:0] ctime;
        logic [63:0] mtime;
        logic [63:0] atime;
        logic [63:0] blocks;                            // of 512 bytes
        logic [63:0] size;
        logic [63:0] ino;
    } fuse_attr_t;

    // struct fuse_entry_out, 128 bytes.
    typedef struct packed {
        fuse_attr_t  attr;
        logic [31:0] attr_valid_nsec;
        logic [31:0] entry_valid_nsec;
        logic [63:0] attr_valid;
        logic [63:0] entry_valid;
        logic [63:0] generation;
        logic [63:0] nodeid;
    } fuse_entry_out_t;

    // struct fuse_attr_out, 104 bytes.
    typedef struct packed {
        fuse_attr_t  attr;
        logic [31:0] dummy;
        logic [31:0] attr_valid_nsec;
        logic [63:0] attr_valid;
    } fuse_attr_out_t;

    // struct fuse_dirent without its name, 24 bytes. The name follows, then zeros up to a multiple of 8.
    typedef struct packed {
        logic [31:0] file_type;                         // S_IFMT of mode >> 12
        logic [31:0] namelen;
        logic [63:0] off;                               // the cookie behind this record
        logic [63:0] ino;
    } fuse_dirent_t;

    // struct fuse_direntplus without its name, 152 bytes.
    typedef struct packed {
        fuse_dirent_t    dirent;
        fuse_entry_out_t entry_out;
    } fuse_direntplus_t;

    // verilator lint_off UNUSEDSIGNAL
    function automatic logic [63:0] nodeid(input node_slot_t slot, input node_t node);
        return {node.generation, 20'b0, slot};
    endfunction

    function automatic fuse_attr_t attr(input node_slot_t slot, input node_t node);
        fuse_attr_t a;
        a = '0;
        a.ino = nodeid(slot, node);
        a.size = 64'(node.size);
        a.blocks = {48'b0, node.pages, 3'b0};
        a.atime = node.atime.seconds;
        a.mtime = node.mtime.seconds;
        a.ctime = node.ctime.seconds;
        a.atimensec = node.atime.nanoseconds;
        a.mtimensec = node.mtime.nanoseconds;
        a.ctimensec = node.ctime.nanoseconds;
        a.mode = {16'b0, node.mode};
        a.nlink = node.nlink;
        a.uid = node.uid;
        a.gid = node.gid;
        a.rdev = node.rdev;
        a.blksize = BLOCK_BYTES;
        return a;
    endfunction

    // valid_seconds: of names and attributes in the client's caches
    function automatic fuse_entry_out_t entry_out(input node_slot_t slot, input node_t node,
                                                  input logic [31:0] valid_seconds);
        fuse_entry_out_t e;
        e = '0;
        e.nodeid = nodeid(slot, node);
        e.generation = {32'b0, node.generation};
        e.entry_valid = 64'(valid_seconds);
        e.attr_valid = 64'(valid_seconds);
        e.attr = attr(slot, node);
        return e;
    endfunction

    function automatic fuse_entry_out_t no_entry_out(input logic [31:0] valid_seconds);
        fuse_entry_out_t e;
        e = '0;
        e.entry_valid = 64'(valid_seconds);
        return e;
    endfunction

    function automatic fuse_attr_out_t attr_out(input node_slot_t slot, input node_t node,
                                                input logic [31:0] valid_seconds);
        fuse_attr_out_t o;
        o = '0;
        o.attr_valid = 64'(valid_seconds);
        o.attr = attr(slot, node);
        return o;
    endfunction
    // verilator lint_on UNUSEDSIGNAL

endpackage
