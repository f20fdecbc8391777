// Types that pass between the blocks of the endpoint.
//
// `queue` is a virtqueue.
// verilator lint_off SYMRSVDWORD
package endpoint_pkg;

    // Bounds. What exists is set by parameters of virtio_fs_endpoint, what is offered by straps.
    localparam int unsigned MAX_REQUEST_QUEUES = 8;
    localparam int unsigned MAX_QUEUES = 2 + MAX_REQUEST_QUEUES;

    typedef logic [3:0] queue_t;     // virtqueue index
    typedef logic [5:0] context_t;   // a request in flight
    typedef logic [3:0] epoch_t;     // counts device resets

    typedef enum logic [1:0] {
        ROLE_NONE,
        ROLE_HIPRIO,
        ROLE_NOTIFICATION,
        ROLE_REQUEST
    } role_e;

    typedef enum logic [1:0] {
        LANE_HI,
        LANE_NTF,
        LANE_REQ
    } lane_e;
    localparam int unsigned LANES = 3;

    // ---- what the registers tell everybody ----

    // From PCI configuration space (the narrow port of pci_config_space).
    typedef struct packed {
        logic        bus_master;
        logic        memory_enable;
        logic        intx_disable;
        logic        msix_enable;
        logic        msix_function_mask;
        logic        flr;            // one cycle: Initiate Function Level Reset was written
        logic        d3hot;
        logic        wake;           // one cycle: from D3hot to D0
        logic [2:0]  mps;            // Max_Payload_Size, 128 << mps
        logic [2:0]  mrrs;           // Max_Read_Request_Size, 128 << mrrs
        logic        rcb;            // read completion boundary, 1: 128 bytes
        logic [15:0] requester_id;   // bus, device, function
    } pci_control_t;

    typedef struct packed {
        logic        enable;
        logic [15:0] size;
        logic [63:0] desc;
        logic [63:0] driver;
        logic [63:0] device;
        logic [15:0] vector;
        role_e       role;           // settled at FEATURES_OK
    } queue_cfg_t;

    typedef queue_cfg_t [MAX_QUEUES-1:0] queue_cfgs_t;

    typedef struct packed {
        logic        driver_ok;      // DRIVER_OK set and NEEDS_RESET not set: queues may be served
        logic        needs_reset;
        logic        notification;   // VIRTIO_FS_F_NOTIFICATION negotiated
        logic        indirect_desc;  // VIRTIO_F_INDIRECT_DESC negotiated
        logic        event_idx;
        logic        ring_packed;
        logic        in_order;
        logic        ring_reset;
        logic        notif_config_data;
        logic [31:0] notify_buf_size;
        logic [1:0]  notify_policy;
        logic [31:0] valid_seconds;    // of names and attributes
        logic [2:0]  cache_options;    // bits: dpu_pkg::OPTION_
    } device_state_t;

    // Reset, driven by reset_control. QUIESCE: finish the packet on rq, start none. CLEAR: forget everything.
    typedef struct packed {
        logic quiesce;
        logic clear;
    } reset_req_t;

    // ---- errors and counters, to the DPU port ----

    typedef enum logic [7:0] {
        ERR_NONE = 8'd0,
        ERR_AVAIL_INDEX = 8'd1,        // available index ran ahead by more than the queue size (fatal)
        ERR_HEAD_INDEX = 8'd2,         // ring entry not below the queue size (fatal)
        ERR_NEXT_INDEX = 8'd3,         // next not below the queue size or the table's length (fatal)
        ERR_CHAIN_LENGTH = 8'd4,       // more descriptors than the queue size, a loop among them (fatal)
        ERR_DIRECTION = 8'd5,          // readable after writable (fatal)
        ERR_INDIRECT_NESTED = 8'd6,    // INDIRECT inside an indirect table (fatal)
        ERR_INDIRECT_NEXT = 8'd7,      // INDIRECT together with NEXT (fatal)
        ERR_INDIRECT_LENGTH = 8'd8,    // table is empty or no multiple of 16 (fatal)
        ERR_INDIRECT_OFF = 8'd9,       // INDIRECT where the feature was not negotiated (fatal)
        ERR_RING_READ = 8'd10,         // UR, CA, poison or time-out on a ring, descriptor or table (fatal)
        ERR_HEADER_READ = 8'd11,       // the same on a FUSE header: used length 0
        ERR_PAYLOAD_READ = 8'd12,      // the same on a request's payload: EIO
        ERR_HEADER_SHORT = 8'd13,      // readable part shorter than fuse_in_header: used length 0
        ERR_NOTIFY_SMALL = 8'd14,      // chain on the notification queue below notify_buf_size
        ERR_NOTIFY_READABLE = 8'd15,   // chain on the notification queue with a readable part
        ERR_UNEXPECTED_CPL = 8'd16,    // completion without a request
        ERR_CPL_TIMEOUT = 8'd17,
        ERR_STRAP_LOCKED = 8'd18,      // strap written while device_status was not 0
        ERR_ENGINE_CONTEXT = 8'd19,    // reply or job for a context that is not with the engine
        ERR_ENGINE_LENGTH = 8'd20,     // reply or job beyond the readable or writable part
        ERR_CHAIN_BYTES = 8'd21        // a chain of 2^32 bytes or more (fatal)
    } error_code_e;

    typedef struct packed {
        error_code_e code;
        logic        fatal;            // sets DEVICE_NEEDS_RESET
        queue_t      queue;
        logic [63:0] address;
    } error_t;

    // Bits of the vector of counter events: a pulse adds one.
    localparam int unsigned COUNT_REQUESTS = 0;           // handed to the engine
    localparam int unsigned COUNT_REPLIES = 1;            // used with a reply
    localparam int unsigned COUNT_NO_REPLIES = 2;         // used with length 0
    localparam int unsigned COUNT_NOTIFY_DELIVERED = 3;
    localparam int unsigned COUNT_NOTIFY_HELD = 4;
    localparam int unsigned COUNT_NOTIFY_REFUSED = 5;
    localparam int unsigned COUNT_NOTIFY_CHAINS_RETURNED = 6;
    localparam int unsigned COUNT_NOTIFY_EMPTIED = 7;     // messages forgotten by a reset or a new INIT
    localparam int unsigned COUNT_STALE_EPOCH = 8;
    localparam int unsigned COUNT_READ_TLPS = 9;
    localparam int unsigned COUNT_WRITE_TLPS = 10;
    localparam int unsigned COUNT_INTERRUPTS = 11;
    localparam int unsigned COUNT_INTERRUPTS_SUPPRESSED = 12;
    localparam int unsigned COUNT_ERRORS = 13;
    // verilator lint_off UNUSEDPARAM
    localparam int unsigned COUNT_NOTIFY_DROPPED = 14;    // invalidations
    localparam int unsigned COUNT_NOTIFY_COALESCED = 15;  // invalidations that went into their inode's place
    // verilator lint_on UNUSEDPARAM
    localparam int unsigned COUNTERS = 16;
    typedef logic [COUNTERS-1:0] count_t;

    // ---- DMA ----

    typedef enum logic [1:0] {
        RD_RING,       // available index, ring entries, descriptors, tables
        RD_GATHER,     // FUSE headers and arguments
        RD_BULK,       // payload
        RD_SUPPRESS    // available flags, read after a used index
    } read_client_e;
    localparam int unsigned READ_CLIENTS = 4;

    // At most 512 bytes at any address; dma_read cuts it at MRRS and 4 KiB. 0 bytes is not allowed.
    typedef struct packed {
        logic [63:0] addr;
        logic [9:0]  bytes;
    } read_req_t;

    // `user` of a read response stream: status of the whole request, valid on the LAST beat.
    typedef struct packed {
        logic error;       // UR, CA, poison or time-out somewhere in the request; the data is then void
    } read_status_t;

    typedef enum logic {
        WRITE_DATA,        // `bytes` bytes at `addr`, taken from the lane's data stream (one message)
        WRITE_USED         // used entry {id, len} of `queue`, what makes it used, suppression read, interrupt
    } write_kind_e;

    typedef struct packed {
        write_kind_e kind;
        queue_t      queue;
        context_t    ctx;
        logic [63:0] addr;
        logic [31:0] bytes;
        logic [15:0] id;
        logic [15:0] slots;        // of the ring, that the chain takes up
        logic [31:0] len;
    } write_cmd_t;

    // What made an entry used has left on rq: the used index of a split ring, the descriptor itself of a packed one.
    typedef struct packed {
        lane_e       lane;
        queue_t      queue;
        context_t    ctx;
        logic [15:0] slots;
    } write_done_t;

    // ---- chains ----

    typedef struct packed {
        context_t    ctx;
        queue_t      queue;
        lane_e       lane;
        logic [15:0] id;             // split: head descriptor; packed: buffer id
        logic [15:0] slots;          // descriptors that it takes up in the ring; split: 1
        logic [31:0] readable;       // bytes
        logic [31:0] writable;       // bytes
    } chain_t;

    typedef struct packed {
        logic [63:0] addr;
        logic [31:0] len;
        logic        write;
        logic        last;
    } segment_t;

    // ---- fuse_engine_if: `user` of the engine's streams ----

    // A request of the DPU itself; the others have that of their queue (lane_e).
    // verilator lint_off UNUSEDPARAM
    localparam logic [7:0] ENGINE_LANE_DPU = 8'd3;
    localparam logic [7:0] DPU_CONTEXT = 8'd63;    // is no context of a request in flight
    // verilator lint_on UNUSEDPARAM

    typedef struct packed {
        logic [15:0] head_bytes;     // payload: that many bytes of the readable part, at most 1024
        logic [15:0] fn;
        logic [31:0] writable;
        logic [31:0] readable;
        logic [7:0]  epoch;
        logic [7:0]  lane;
        logic [7:0]  queue;
        logic [7:0]  ctx;
    } engine_request_t;

    typedef struct packed {
        logic [31:0] address;        // in storage
        logic [31:0] length;
        logic [31:0] offset;         // in the readable (in) or writable (out) part
        logic [7:0]  epoch;
        logic [7:0]  reserved;
        logic [7:0]  dir;            // 0 in: host to storage; 1 out: storage to host
        logic [7:0]  ctx;
    } mover_job_t;

    typedef struct packed {
        logic [95:0] reserved1;
        logic [7:0]  epoch;
        logic [7:0]  reserved0;
        logic [7:0]  result;         // 0 ok, 1 bus error, 2 cancelled
        logic [7:0]  ctx;
    } mover_done_t;

    typedef struct packed {
        logic [31:0] address;        // in storage
        logic [31:0] storage_length; // bytes from storage that follow the immediate ones
        logic [31:0] immediate;      // payload bytes of this message
        logic [7:0]  epoch;
        logic [7:0]  reserved;
        logic [7:0]  kind;           // 0 reply, 1 none (used length 0), 2 cannot reply (used length 0)
        logic [7:0]  ctx;
    } engine_reply_t;

    typedef struct packed {
        logic [63:0] reserved1;
        logic [31:0] length;         // of the message, fuse_out_header included
        logic [7:0]  epoch;
        logic [15:0] reserved0;
        logic [7:0]  msg_class;      // 0 reserves its place (raw among them), 1 invalidation
    } engine_notify_t;

    typedef struct packed {
        logic [95:0] reserved1;
        logic [7:0]  epoch;          // the new one
        logic [7:0]  reserved0;
        logic [7:0]  queue;
        logic [7:0]  kind;
    } engine_control_t;
    localparam logic [7:0] CONTROL_DEVICE_RESET = 8'd0;
    localparam logic [7:0] CONTROL_QUEUE_RESET = 8'd1;

    // The answer of the notify mailbox.
    typedef enum logic [1:0] {
        NOTIFY_IDLE,
        NOTIFY_ACCEPTED,
        NOTIFY_HELD,
        NOTIFY_REFUSED
    } notify_result_e;

endpackage
// verilator lint_on SYMRSVDWORD
