// Types that pass between the blocks of the data path, from doorbell to write lanes.
//
// `queue` is a virtqueue.
// verilator lint_off SYMRSVDWORD
package pipeline_pkg;
    import endpoint_pkg::*;

    // Descriptors of a chain that stay after the walk; longer chains are fetched again, a window at a time.
    localparam int unsigned WINDOW = 16;

    // Descriptors of a packed ring's indirect table, whatever the size of the ring.
    localparam logic [15:0] MOST_DESCRIPTORS = 16'd1024;

    // Who reads chains: each has its own window for chains longer than WINDOW.
    typedef enum logic [2:0] {
        CURSOR_HEADER,
        CURSOR_BULK,
        CURSOR_REQ,
        CURSOR_HI,
        CURSOR_NTF
    } cursor_e;
    localparam int unsigned CURSORS = 5;

    // Who looks into the context table: the cursors, then these.
    localparam int unsigned LOOK_GATHER = CURSORS;
    localparam int unsigned LOOK_SENDER = CURSORS + 1;
    localparam int unsigned LOOK_ROUTER = CURSORS + 2;
    localparam int unsigned LOOK_NTF = CURSORS + 3;
    localparam int unsigned LOOKS = CURSORS + 4;

    // Who gives contexts back.
    localparam int unsigned RELEASE_USED = 0;     // the used entry has left on rq
    localparam int unsigned RELEASE_DROPPED = 1;  // queue reset: there will be none
    localparam int unsigned RELEASE_FETCH = 2;    // chains of a queue that was stopped before they were walked
    localparam int unsigned RELEASES = 3;

    typedef logic [6:0] slot_t;      // a window: contexts first, then cursors

    // How contexts are split among the lanes.
    localparam int unsigned HI_CONTEXTS = 4;

    function automatic int unsigned lane_first(input int unsigned lane, input int unsigned contexts);
        return lane == int'(LANE_HI) ? 0 : lane == int'(LANE_NTF) ? HI_CONTEXTS : HI_CONTEXTS + contexts / 4;
    endfunction

    function automatic int unsigned lane_contexts(input int unsigned lane, input int unsigned contexts);
        return lane == int'(LANE_HI) ? HI_CONTEXTS :
            lane == int'(LANE_NTF) ? contexts / 4 : contexts - contexts / 4 - HI_CONTEXTS;
    endfunction

    function automatic lane_e context_lane(input int unsigned ctx, input int unsigned contexts);
        return ctx < HI_CONTEXTS ? LANE_HI : ctx < HI_CONTEXTS + contexts / 4 ? LANE_NTF : LANE_REQ;
    endfunction

    // What one request queue may have: it leaves two to each of the others.
    function automatic int unsigned queue_contexts(input int unsigned queues, input int unsigned contexts);
        return lane_contexts(int'(LANE_REQ), contexts) - 2 * (queues - 1);
    endfunction

    function automatic lane_e role_lane(input role_e role);
        return role == ROLE_HIPRIO ? LANE_HI : role == ROLE_NOTIFICATION ? LANE_NTF : LANE_REQ;
    endfunction

    // An available chain that got a context.
    typedef struct packed {
        context_t     ctx;
        lane_e        lane;
        queue_t       queue;
        logic [15:0]  head;          // index of its first descriptor
        logic [15:0]  room;          // packed: descriptors that the ring had free for it
        logic [127:0] descriptor;    // packed: the first one, as it was read
    } chain_start_t;

    // What the scheduler asks memory for, and what an answer is to be taken as.
    typedef struct packed {
        queue_t     queue;
        logic       index;           // split: the available index
        logic [3:0] count;           // else that many entries of the ring
    } ring_read_t;

    typedef struct packed {
        read_req_t  read;
        ring_read_t order;
        logic [3:0] claims;          // contexts set aside for the answer
    } ring_plan_t;

    // Where a walk stands.
    typedef struct packed {
        queue_t      queue;
        logic        indirect;       // inside an indirect table
        logic [63:0] base;           // of the descriptor table or the indirect one
        logic [16:0] bound;          // descriptors in that table
        logic [15:0] index;          // the next descriptor
        logic [15:0] count;          // descriptors seen, the one that points to a table not among them
        logic        writing;        // a writable descriptor was seen
    } position_t;

    // A walk over a chain.
    typedef struct packed {
        slot_t       slot;
        logic        again;          // for a cursor
        lane_e       lane;
        logic [15:0] id;
        logic [15:0] room;           // packed: chain_start_t
        position_t   position;
        logic [4:0]  stored;
        logic        more;
        logic [31:0] readable;
        logic [31:0] writable;
    } walk_t;

    // What a descriptor makes of it.
    typedef struct packed {
        walk_t       walk;
        error_code_e code;
        logic        leave;          // the rest of the block is of no use
        logic        ended;          // chain ended, or the cursor's window is full
        logic        store;          // as a segment
        logic        fills;          // the window is full then
        logic        goes_on;        // the segment is not the last
        logic [63:0] addr;
        logic [31:0] len;
        logic        write;
    } chain_step_t;

    // How one descriptor leads to the next, by the format of the ring.
    typedef struct packed {
        logic        indirect;       // points to a table
        logic        goes_on;        // there is a next one
        logic [15:0] next;
        logic        named;          // `id` is the chain's
        logic [15:0] id;
        error_code_e code;
    } link_t;

    typedef struct packed {
        chain_t     chain;
        logic [4:0] segments;        // in the window
        logic       more;            // and some behind it
    } chain_info_t;

    // Answer to a cursor that asked for the next window.
    typedef struct packed {
        position_t  position;
        logic [4:0] segments;
        logic       more;
    } refetch_t;

    typedef struct packed {
        context_t ctx;
        lane_e    lane;
    } walked_t;

    // A part of a chain: `offset` counts from the first readable byte, writable ones follow.
    typedef struct packed {
        context_t    ctx;
        logic        write;
        logic [32:0] offset;
        logic [31:0] length;         // not 0
    } range_t;

    typedef struct packed {
        logic [63:0] addr;
        logic [31:0] len;
        logic        last;
    } piece_t;

    // A request buffer that is full, for the engine.
    typedef struct packed {
        context_t    ctx;
        logic [3:0]  buffer;
        logic [10:0] bytes;
    } gathered_t;

    // Bytes for the writable part of a chain, then perhaps its used entry.
    typedef struct packed {
        context_t    ctx;
        lane_e       lane;
        queue_t      queue;
        logic [15:0] id;
        logic [15:0] slots;
        logic [32:0] offset;
        logic [31:0] length;
        logic        used;           // else a mover job, answered with mover_done
        logic [31:0] used_len;
    } scatter_t;

    // One command of the data mover.
    typedef struct packed {
        logic        gather;         // host to storage
        scatter_t    part;
        logic [31:0] immediate;      // scatter: bytes from the payload, first
        logic [31:0] address;        // in storage
        logic [31:0] storage_length;
    } mover_cmd_t;

    typedef struct packed {
        context_t   ctx;
        logic [1:0] result;
    } job_end_t;
    localparam logic [1:0] JOB_OK = 2'd0;
    localparam logic [1:0] JOB_BUS_ERROR = 2'd1;
    localparam logic [1:0] JOB_CANCELLED = 2'd2;

    // A message in the store.
    typedef struct packed {
        logic [15:0] length;
        logic        announced;      // by the file system in hardware, to this session alone:
        logic [1:0]  session;
    } message_t;

    function automatic error_t make_error(input error_code_e code, input logic fatal, input queue_t queue,
                                          input logic [63:0] address);
        make_error.code = code;
        make_error.fatal = fatal;
        make_error.queue = queue;
        make_error.address = address;
    endfunction

endpackage
// verilator lint_on SYMRSVDWORD
