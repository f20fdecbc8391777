// Types that pass between the units of the ramfs engine, the file system in hardware (docs/file-system.md).
package ramfs_pkg;

    // A package's constants are not all used in each design.
    // verilator lint_off UNUSEDPARAM
    localparam int unsigned PAGE_BYTES = 4096;
    localparam int unsigned ROOT_SLOT = 1;
    localparam int unsigned NAME_BYTES = 255;
    localparam int unsigned LISTING_BYTES = PAGE_BYTES - 16;
    localparam int unsigned TRANSFER_BYTES = 1 << 20;       // of one READ or WRITE
    localparam logic [40:0] FILE_BYTES = 41'h100_0000_0000; // the largest size
    localparam int unsigned WINDOWS = 4;                    // what the data mover sees of files, 2 MiB each
    // verilator lint_on UNUSEDPARAM

    typedef logic [11:0] node_slot_t;
    typedef logic [12:0] entry_slot_t;  // 0: none
    typedef logic [12:0] pages_t;       // a count
    typedef logic [40:0] position_t;    // of a byte in a file
    typedef logic [1:0]  window_t;

    typedef struct packed {
        logic [63:0] seconds;
        logic [31:0] nanoseconds;
    } time_t;

    // An inode. Slot and generation make its nodeid.
    typedef struct packed {
        logic        alive;
        logic [31:0] generation;
        logic [15:0] mode;
        logic [31:0] nlink;
        logic [31:0] uid;
        logic [31:0] gid;
        logic [31:0] rdev;
        position_t   size;
        pages_t      pages;             // that it owns
        time_t       atime;
        time_t       mtime;
        time_t       ctime;
        logic [31:0] lookups;
        logic [31:0] opens;
        node_slot_t  parent;            // of a directory
    } node_t;

    // ---- names ----

    // What the parser found out about a name of the message.
    typedef struct packed {
        logic       ends;               // its NUL lies in the head
        logic [8:0] length;             // 0 to 256; 256: 256 bytes or more
        logic       slash;
        logic       dot;                // "."
        logic       dotdot;             // ".."
    } name_info_t;

    typedef enum logic [2:0] {
        NAME_FIND,        // -> found, entry, child
        NAME_ADD,         // name `which` of `parent` leads to `child`; only where `fits[which]` -> entry
        NAME_REMOVE,      // `entry` goes
        NAME_REPOINT,     // `entry` leads to `child`
        NAME_FIRST        // -> found, entry, child of the first name of `parent`
    } name_op_e;

    typedef enum logic {
        KIND_DIRECTORY,
        KIND_XATTR
    } name_kind_e;

    typedef struct packed {
        name_op_e    op;
        name_kind_e  kind;
        logic        which;             // of the message's two names
        node_slot_t  parent;
        node_slot_t  child;
        entry_slot_t entry;
    } name_cmd_t;

    typedef struct packed {
        logic        found;
        entry_slot_t entry;
        node_slot_t  child;
    } name_rsp_t;

    typedef struct packed {
        logic        plus;
        logic        look;              // one lookup more of what is shown; only with `plus`
        logic [31:0] valid_seconds;     // of names and attributes
        node_slot_t  directory;
        logic [63:0] cookie;
        logic [12:0] budget;            // bytes of records, at most LISTING_BYTES
        logic [63:0] directory_id;      // nodeids behind "." and ".."
        logic [63:0] parent_id;
    } list_cmd_t;

    // ---- pages ----

    typedef enum logic [2:0] {
        PAGES_MAP,        // window shows [from, to) for reading; holes read as zeros
        PAGES_RESERVE,    // the same for writing: what is missing is allocated, all or nothing
        PAGES_ALLOCATE,   // allocate what is missing in [from, to), all or nothing; no window
        PAGES_CUT,        // everything from `from` on goes
        PAGES_PUNCH,      // [from, to) becomes zeros, its whole pages go
        PAGES_ERASE,      // [from, to) becomes zeros, pages stay
        PAGES_DROP        // all pages go
    } page_op_e;

    typedef struct packed {
        page_op_e   op;
        node_slot_t node;
        position_t  from;
        position_t  to;
        window_t    window;
    } page_cmd_t;

    typedef struct packed {
        logic   no_space;
        pages_t pages;                  // that the inode owns now
    } page_rsp_t;

    // ---- locks ----

    // Types of struct fuse_file_lock.
    // verilator lint_off UNUSEDPARAM
    localparam logic [31:0] LOCK_READ = 32'd0;
    localparam logic [31:0] LOCK_WRITE = 32'd1;
    localparam logic [31:0] LOCK_UNLOCK = 32'd2;
    localparam logic [63:0] LOCK_LAST_BYTE = 64'h7FFF_FFFF_FFFF_FFFF;
    // verilator lint_on UNUSEDPARAM

    typedef enum logic [2:0] {
        LOCKS_TEST,       // -> LOCK_INVALID, else LOCK_GRANTED and the lock in the way (or `lock` with LOCK_UNLOCK)
        LOCKS_SET,        // -> LOCK_GRANTED, LOCK_INVALID, LOCK_CONFLICT, LOCK_FULL. FLUSH, RELEASE: unlocks everything
        LOCKS_WAIT,       // the same, but for a conflict LOCK_PARKED: it is answered by a wake
        LOCKS_DROP,       // the inode `lock.node` is open no more
        LOCKS_END,        // the session ends
        LOCKS_RESET,      // the same, and nobody is answered: waits and wakes are forgotten
        LOCKS_FORGET      // `of_queue` is reset: those of its requests that wait are, unless they were told so
    } lock_op_e;

    typedef enum logic [2:0] {
        LOCK_GRANTED,     // success
        LOCK_CONFLICT,    // EAGAIN
        LOCK_FULL,        // ENOLCK
        LOCK_INVALID,     // EINVAL
        LOCK_PARKED,      // no answer now
        LOCK_INTERRUPTED, // EINTR
        LOCK_CLOSED       // EBADF
    } lock_result_e;

    // As in struct fuse_lk_in; the bytes first to last.
    typedef struct packed {
        node_slot_t  node;
        logic        flock;             // FUSE_LK_FLOCK: the range does not count
        logic [63:0] owner;
        logic [63:0] start;
        logic [63:0] finish;            // `end` of the structure
        logic [31:0] kind;              // `type`
        logic [31:0] pid;
    } lock_t;

    typedef struct packed {
        lock_op_e    op;
        logic [5:0]  ctx;               // WAIT: comes back with the wake
        logic [3:0]  of_queue;
        logic [63:0] request_id;        // WAIT: its `unique`
        lock_t       lock;
    } lock_cmd_t;

    typedef struct packed {
        lock_result_e result;
        lock_t        lock;             // TEST
    } lock_rsp_t;

    // The answer of a request that waited.
    typedef struct packed {
        logic         told;             // that it waits: this comes as a message
        logic [5:0]   ctx;
        logic [63:0]  request_id;
        lock_result_e result;           // LOCK_GRANTED, LOCK_FULL, LOCK_INTERRUPTED, LOCK_CLOSED
    } lock_wake_t;

endpackage
