// What the parts of lock_table share.
package lock_pkg;
    import ramfs_pkg::*;

    typedef logic [62:0] byte_t;            // number of a byte: up to 2^63 - 1

    // A lock that is held.
    typedef struct packed {
        node_slot_t  node;
        logic        flock;
        logic [63:0] owner;
        byte_t       start;
        byte_t       finish;                // the last byte
        logic        write;
        logic [31:0] pid;
    } held_t;

    typedef enum logic [1:0] {
        RANGES_TEST,                        // -> blocked: the lowest lock in the way
        RANGES_SET,                         // the owner's locks get a new type in a range
        RANGES_UNLOCK,                      // they are gone from the range
        RANGES_DROP                         // all locks of the inode are gone
    } ranges_op_e;

    typedef struct packed {
        ranges_op_e op;
        held_t      lock;
    } ranges_cmd_t;

    // A SETLKW that waits.
    typedef struct packed {
        logic [5:0]  ctx;
        logic [3:0]  of_queue;
        logic [63:0] request_id;
        held_t       lock;
    } wait_t;

    function automatic held_t held_of(input lock_t lock);
        return '{
            node: lock.node, flock: lock.flock, owner: lock.owner,
            start: lock.flock ? '0 : lock.start[62:0], finish: lock.flock ? '1 : lock.finish[62:0],
            write: lock.kind == LOCK_WRITE, pid: lock.pid
        };
    endfunction

    function automatic lock_t lock_of(input held_t held);
        return '{
            node: held.node, flock: held.flock, owner: held.owner, start: {1'b0, held.start}, finish: {1'b0, held.finish},
            kind: held.write ? LOCK_WRITE : LOCK_READ, pid: held.pid
        };
    endfunction

endpackage
