// What happens when the message store is full (docs/notifications.md): which requests of the DPU may begin, for which
// LOCK and POLL a place is kept, places for inodes whose invalidation found no room, the overflow flag; and what is to
// be stored once there is room again: those inodes first, then what the recovery walk has.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module notify_policy
    import endpoint_pkg::*, notify_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned PLACES = 8
) (
    input  logic          clk,
    input  logic          rst,
    input  logic          flush,
    input  device_state_t device,
    input  logic          firmware,        // answers FUSE: it has to repair by itself
    input  logic          renewed,         // one cycle: a FUSE_INIT has begun a session
    input  session_t      session,
    // The store.
    input  logic [15:0]   free,            // words
    input  logic          settled,         // no message is on its way in
    input  logic          steady,          // what is free does not change now
    output logic [15:0]   reserved,        // words for what the DPU's request will announce
    input  logic          lost,            // one cycle: an invalidation found no room
    input  logic          lost_inode,      // it is `lost_inval`
    input  inval_t        lost_inval,
    output logic          placed,          // invalidations have places; nothing else is announced before them
    output logic          repair_valid,    // and there is room; it may be withdrawn
    output repair_t       repair,
    input  logic          repair_take,
    // A place for a LOCK or POLL is wanted; who asks counts them.
    input  logic          place_valid,
    output logic          place_ready,
    output logic          place_free,
    // Requests of the DPU, from when one comes until it is answered.
    input  logic          dpu_busy,
    input  logic [31:0]   dpu_opcode,
    output logic          dpu_may_begin,
    // The recovery walk.
    output logic          overflow,        // it is wanted, until it was whole
    output logic          dropped,         // one cycle: it has to begin anew
    output logic          walk_room,
    input  logic          walk_valid,
    input  repair_t       walk,
    output logic          walk_take,
    input  logic          walked,          // one cycle: its last message was taken
    output count_t        count
);
    localparam int unsigned BEAT = DATA_W / 8;
    localparam logic [15:0] PLACE_WORDS = 16'((LOCK_BYTES + BEAT - 1) / BEAT);
    localparam logic [15:0] REPAIR_WORDS = 16'((INVAL_BYTES + BEAT - 1) / BEAT);
    localparam logic [15:0] OPERATION_WORDS = 16'(OPERATION_BYTES / BEAT);
    localparam logic [1:0] HOLD = 2'd0;
    localparam logic [1:0] COALESCE = 2'd1;

    // ---- requests of the DPU ----

    logic names;                           // it may announce one
    logic needs_room;
    logic reserved_reg;
    always_comb begin
        case (dpu_opcode)
            ramfs_row_pkg::OP_MKNOD, ramfs_row_pkg::OP_MKDIR, ramfs_row_pkg::OP_SYMLINK, ramfs_row_pkg::OP_CREATE,
            ramfs_row_pkg::OP_LINK, ramfs_row_pkg::OP_UNLINK, ramfs_row_pkg::OP_RMDIR, ramfs_row_pkg::OP_RENAME,
            ramfs_row_pkg::OP_RENAME2: names = 1'b1;
            default: names = 1'b0;
        endcase
    end
    assign needs_room = device.driver_ok && device.notification && session.active &&
        (device.notify_policy == HOLD || (names && !session.epochs));
    assign dpu_may_begin = dpu_busy && (reserved_reg || !needs_room);
    assign reserved = reserved_reg ? OPERATION_WORDS : '0;

    logic reserves;                        // now
    assign reserves = dpu_busy && needs_room && !reserved_reg && settled && !placed && free >= OPERATION_WORDS;
    assign place_ready = place_valid && steady && !reserves;
    assign place_free = 17'(free) >= 17'(reserved) + 17'(PLACE_WORDS);

    always_ff @(posedge clk) begin
        if (reserves) reserved_reg <= 1'b1;
        if (rst || !dpu_busy) reserved_reg <= 1'b0;
    end

    // ---- places ----

    logic   keeps;
    logic   known;
    logic   fits;
    inval_t oldest;
    logic   ends;                          // the session, or that of the firmware
    assign keeps = lost && lost_inode && fits && device.notify_policy == COALESCE && !firmware;
    assign ends = flush || (firmware ? renewed : !session.active);

    inval_table #(.PLACES(PLACES)) inval_table (
        .clk, .rst(ends), .put(keeps), .inval(lost_inval), .known, .fits, .valid(placed), .oldest,
        .take(repair_take && placed)
    );

    logic some_room;
    assign some_room = 17'(free) >= 17'(reserved) + 17'(REPAIR_WORDS);
    assign walk_room = some_room && !placed;
    assign repair_valid = some_room && (placed || walk_valid);
    assign walk_take = repair_take && !placed;
    always_comb begin
        repair = walk;
        if (placed) begin
            repair.epoch = 1'b0;
            repair.inval = oldest;
        end
    end

    // ---- what is lost ----

    assign dropped = lost && !keeps;

    always_ff @(posedge clk) begin
        if (ends) overflow <= 1'b0;
        else if (dropped) overflow <= 1'b1;
        else if (walked && !firmware) overflow <= 1'b0;
    end

    always_comb begin
        count = '0;
        count[COUNT_NOTIFY_DROPPED] = dropped;
        count[COUNT_NOTIFY_COALESCED] = keeps && known;
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
