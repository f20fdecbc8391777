// FUSE notifications that the endpoint writes itself, and what the message store and the file system in hardware tell
// each other about them (docs/notifications.md).
package notify_pkg;

    // The code of a notification: fuse_out_header.error, positive (linux/fuse.h, protocol 7.45).
    typedef enum logic [31:0] {
        NOTIFY_POLL = 32'd1,
        NOTIFY_INVAL_INODE = 32'd2,
        NOTIFY_INVAL_ENTRY = 32'd3,
        NOTIFY_DELETE = 32'd6,
        NOTIFY_LOCK = 32'd7,                        // of the proposals for blocking locks
        NOTIFY_INC_EPOCH = 32'd8
    } notify_code_e;

    // A package's constants are not all used in each design.
    // verilator lint_off UNUSEDPARAM
    localparam int unsigned INVAL_BYTES = 40;       // of an INVAL_INODE
    localparam int unsigned POLL_BYTES = 24;
    localparam int unsigned LOCK_BYTES = 32;        // the most for which a place is kept
    localparam int unsigned OPERATION_BYTES = 1024; // of the store: no operation announces more
    localparam logic [7:0] CLASS_PLACED = 8'd0;     // has a place, or waits for one
    localparam logic [7:0] CLASS_INVALIDATION = 8'd1;
    localparam logic [31:0] MINOR_OF_EPOCHS = 32'd44;
    localparam logic [63:0] ATTRIBUTES_ONLY = '1;   // the offset of an INVAL_INODE that leaves contents alone
    // verilator lint_on UNUSEDPARAM

    // INVAL_INODE, byte 0 in bits 7:0.
    typedef struct packed {
        logic [63:0] length;
        logic [63:0] offset;
        logic [63:0] nodeid;
        logic [63:0] unique_id;
        logic [31:0] code;
        logic [31:0] bytes;
    } inval_message_t;

    typedef struct packed {
        logic [63:0] length;                        // 0: to the end of the file
        logic [63:0] offset;
        logic [63:0] nodeid;
    } inval_t;

    // A message that waits for room outside of the store.
    typedef struct packed {
        logic   epoch;                              // INC_EPOCH; else INVAL_INODE
        inval_t inval;
    } repair_t;

    // What the file system in hardware tells of its session.
    typedef struct packed {
        logic       active;                         // there is one, and it is not being ended
        logic       begins;                         // one cycle: from here on there is another one
        logic [1:0] number;                         // of sessions so far
        logic       epochs;                         // its client knows INC_EPOCH
    } session_t;

    function automatic inval_message_t repair_message(input repair_t repair);
        repair_message = '0;
        repair_message.bytes = repair.epoch ? 32'd16 : INVAL_BYTES;
        repair_message.code = repair.epoch ? NOTIFY_INC_EPOCH : NOTIFY_INVAL_INODE;
        if (!repair.epoch) begin
            repair_message.nodeid = repair.inval.nodeid;
            repair_message.offset = repair.inval.offset;
            repair_message.length = repair.inval.length;
        end
    endfunction

endpackage
