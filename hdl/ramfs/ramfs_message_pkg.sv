// Structures of FUSE requests, and of those replies that only the core writes (linux/fuse.h, protocol 7.45), byte 0 in
// bits 7:0: members are written here in reverse order.
package ramfs_message_pkg;

    localparam int unsigned HEAD_BYTES = 1024;      // of a message come with it
    localparam int unsigned FRONT_BYTES = 128;      // of those are kept in registers: header and the longest structure

    typedef struct packed {
        logic [15:0] padding;
        logic [15:0] total_extlen;
        logic [31:0] pid;
        logic [31:0] gid;
        logic [31:0] uid;
        logic [63:0] nodeid;
        logic [63:0] unique_id;
        logic [31:0] opcode;
        logic [31:0] len;
    } in_header_t;

    localparam int unsigned BODY_BITS = (FRONT_BYTES - 40) * 8;
    typedef logic [BODY_BITS-1:0] body_t;

    typedef struct packed {
        logic [31:0] flags;
        logic [31:0] max_readahead;
        logic [31:0] minor;
        logic [31:0] major;
    } init_in_t;

    typedef struct packed {
        logic [31:0] unused5;
        logic [31:0] gid;
        logic [31:0] uid;
        logic [31:0] unused4;
        logic [31:0] mode;
        logic [31:0] ctimensec;
        logic [31:0] mtimensec;
        logic [31:0] atimensec;
        logic [63:0] ctime;
        logic [63:0] mtime;
        logic [63:0] atime;
        logic [63:0] lock_owner;
        logic [63:0] size;
        logic [63:0] fh;
        logic [31:0] padding;
        logic [31:0] valid;
    } setattr_in_t;

    localparam int unsigned FATTR_MODE = 0;
    localparam int unsigned FATTR_UID = 1;
    localparam int unsigned FATTR_GID = 2;
    localparam int unsigned FATTR_SIZE = 3;
    localparam int unsigned FATTR_ATIME = 4;
    localparam int unsigned FATTR_MTIME = 5;
    localparam int unsigned FATTR_FH = 6;
    localparam int unsigned FATTR_ATIME_NOW = 7;
    localparam int unsigned FATTR_MTIME_NOW = 8;
    localparam int unsigned FATTR_CTIME = 10;

    // MKNOD; MKDIR's structure begins like it.
    typedef struct packed {
        logic [31:0] rdev;
        logic [31:0] mode;
    } mknod_in_t;

    // CREATE and TMPFILE; OPEN's structure begins like it.
    typedef struct packed {
        logic [31:0] mode;
        logic [31:0] flags;
    } create_in_t;

    localparam logic [31:0] O_ACCMODE = 32'o3;
    localparam logic [31:0] O_EXCL = 32'o200;
    localparam logic [31:0] O_TRUNC = 32'o1000;

    // RENAME2; RENAME's and LINK's structures are its first member.
    typedef struct packed {
        logic [31:0] flags;
        logic [63:0] other;             // newdir, oldnodeid
    } rename_in_t;

    localparam logic [31:0] RENAME_NOREPLACE = 32'd1;
    localparam logic [31:0] RENAME_EXCHANGE = 32'd2;

    // READ, READDIR, READDIRPLUS, WRITE; all other structures with an fh begin with it.
    typedef struct packed {
        logic [31:0] size;
        logic [63:0] offset;
        logic [63:0] fh;
    } transfer_in_t;

    typedef struct packed {
        logic [31:0] mode;
        logic [63:0] length;
        logic [63:0] offset;
        logic [63:0] fh;
    } fallocate_in_t;

    localparam logic [31:0] FALLOC_KEEP_SIZE = 32'h01;
    localparam logic [31:0] FALLOC_PUNCH_HOLE = 32'h02;
    localparam logic [31:0] FALLOC_ZERO_RANGE = 32'h10;

    // struct fuse_file_lock, in requests and in GETLK's reply.
    typedef struct packed {
        logic [31:0] pid;
        logic [31:0] kind;              // type
        logic [63:0] finish;            // end
        logic [63:0] start;
    } file_lock_t;

    typedef struct packed {
        logic [31:0] padding;
        logic [31:0] lk_flags;
        file_lock_t  lock;
        logic [63:0] owner;
        logic [63:0] fh;
    } lock_in_t;

    // FLUSH's structure has its lock_owner at the same place.
    typedef struct packed {
        logic [63:0] lock_owner;
        logic [31:0] release_flags;
        logic [31:0] flags;
        logic [63:0] fh;
    } release_in_t;

    typedef struct packed {
        logic [31:0] events;
        logic [31:0] flags;
        logic [63:0] kh;
        logic [63:0] fh;
    } poll_in_t;

    localparam int unsigned POLL_SCHEDULE_NOTIFY = 0;   // bit of flags
    localparam logic [31:0] POLL_READY = 32'h145;       // POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM

    localparam int unsigned LK_FLOCK = 0;               // bits of lk_flags, of release_flags
    localparam int unsigned RELEASE_FLOCK_UNLOCK = 1;

    // ---- replies ----

    typedef struct packed {
        logic [63:0] unique_id;
        logic [31:0] error;
        logic [31:0] len;
    } out_header_t;

    typedef struct packed {
        logic [255:0] unused;           // flags2 and what is newer
        logic [15:0]  map_alignment;
        logic [15:0]  max_pages;
        logic [31:0]  time_gran;
        logic [31:0]  max_write;
        logic [15:0]  congestion_threshold;
        logic [15:0]  max_background;
        logic [31:0]  flags;
        logic [31:0]  max_readahead;
        logic [31:0]  minor;
        logic [31:0]  major;
    } init_out_t;

    typedef struct packed {
        logic [31:0] backing_id;
        logic [31:0] open_flags;
        logic [63:0] fh;
    } open_out_t;

    localparam logic [31:0] FOPEN_KEEP_CACHE = 32'd2;

    typedef struct packed {
        logic [31:0] padding;
        logic [31:0] size;
    } write_out_t;

    typedef struct packed {
        logic [223:0] spare;
        logic [31:0]  frsize;
        logic [31:0]  namelen;
        logic [31:0]  bsize;
        logic [63:0]  ffree;
        logic [63:0]  files;
        logic [63:0]  bavail;
        logic [63:0]  bfree;
        logic [63:0]  blocks;
    } statfs_out_t;

    localparam logic [31:0] FUSE_MAJOR = 32'd7;
    localparam logic [31:0] FUSE_MINOR = 32'd45;
    localparam logic [31:0] FUSE_MINOR_OLDEST = 32'd31;
    localparam int unsigned FLAG_MAX_PAGES = 22;
    // ASYNC_READ, ATOMIC_O_TRUNC, BIG_WRITES, DO_READDIRPLUS, READDIRPLUS_AUTO, PARALLEL_DIROPS, MAX_PAGES,
    // POSIX_LOCKS, FLOCK_LOCKS
    localparam logic [31:0] FLAGS_GRANTED = 32'h0044_642B;
    localparam logic [31:0] FLAGS_LOCKS = 32'h0000_0402;

    function automatic logic [31:0] swap_bytes(input logic [31:0] value);
        return {value[7:0], value[15:8], value[23:16], value[31:24]};
    endfunction

endpackage
