// Locks as the engine has them: the lock table, the phase of requests that ask it, the end of sessions, interrupts, and
// the answers of requests that waited, or the messages that stand for them.
module ramfs_locks
    import endpoint_pkg::*, notify_pkg::*, ramfs_pkg::*, ramfs_core_pkg::*, ramfs_message_pkg::*, ramfs_row_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned LOCKS = 64,
    parameter int unsigned LOCK_WAITS = 8
) (
    input  logic            clk,
    input  logic            rst,
    input  epoch_t          epoch,
    // The phase.
    input  logic            start,
    output logic            done,           // one cycle; then the rest stays until the next start
    output errno_e          error,
    output logic            parked,         // no answer now
    output logic            waits,          // this is the answer
    output lock_t           found_lock,     // GETLK's
    input  logic            over,           // the request is answered, or waits
    input  engine_request_t request,
    input  in_header_t      header,
    input  body_t           body,
    input  row_t            row,
    input  found_t          found,
    // The end of a session.
    input  logic            end_valid,
    output logic            end_ready,
    input  logic            end_silent,     // a reset: nobody is answered
    output logic            end_done,
    output logic            quiet,          // all that waited is answered
    // The reset of a queue: its requests that wait are forgotten.
    input  logic            forget_valid,
    output logic            forget_ready,
    input  logic [3:0]      forget_queue,
    output logic            forget_done,
    input  logic            in_order,       // replies leave in the order of the requests: none may wait
    // Messages instead of late answers, from the end of the session that is on: each needs a place in the store.
    input  logic            messages,
    output logic            place_valid,
    input  logic            place_ready,
    input  logic            place_free,
    output logic [5:0]      places,         // that are kept
    stream_if.src           notify,
    // Express path.
    input  logic            interrupt_valid,
    input  logic [63:0]     interrupt_id,
    output logic            interrupt_done,
    output logic            interrupt_found,
    stream_if.src           reply
);
    logic [$clog2(2*LOCK_WAITS+1)-1:0] waiting;
    logic       cmd_valid;
    logic       cmd_ready;
    lock_cmd_t  cmd;
    logic       locker_valid;
    logic       locker_ready;
    lock_cmd_t  locker_cmd;
    logic       rsp_valid;
    lock_rsp_t  rsp;
    logic       wake_valid;
    logic       wake_ready;
    lock_wake_t wake;
    logic       wakes_left;
    logic       locker_parked;
    logic       told;

    ramfs_locker ramfs_locker (
        .clk, .rst, .start, .request, .header, .body, .row, .found, .done, .error,
        .parked(locker_parked),
        .cmd_valid(locker_valid), .cmd_ready(locker_ready), .cmd(locker_cmd), .rsp_valid, .result(rsp.result)
    );

    assign parked = locker_parked && !told;
    assign waits = locker_parked && told;

    // A session ends only while no request is in its lock phase.
    assign cmd_valid = end_valid || locker_valid || forget_valid;
    assign end_ready = cmd_ready;
    assign locker_ready = cmd_ready;
    assign end_done = rsp_valid;
    assign forget_ready = cmd_ready && !end_valid && !locker_valid;
    assign forget_done = rsp_valid;
    always_comb begin
        cmd = locker_cmd;
        if (end_valid) begin
            cmd = '0;
            cmd.op = end_silent ? LOCKS_RESET : LOCKS_END;
        end else if (!locker_valid) begin
            cmd = '0;
            cmd.op = LOCKS_FORGET;
            cmd.of_queue = forget_queue;
        end
    end

    lock_table #(.LOCKS(LOCKS), .WAITS(LOCK_WAITS)) lock_table (
        .clk, .rst, .cmd_valid, .cmd_ready, .cmd, .may_park(!in_order), .rsp_valid, .rsp,
        .interrupt_valid, .interrupt_id, .interrupt_done, .interrupt_found,
        .wake_valid, .wake_ready, .wake, .wakes_left,
        .messages, .told, .place_valid, .place_ready, .place_free, .places(waiting)
    );
    assign found_lock = rsp.lock;

    // The request that ended waits is answered first, and one that waits is told so before it hears of the end.
    logic hold_reg;
    logic reply_ready;
    logic message_valid;
    logic message_ready;
    logic message_busy;
    ramfs_lock_reply #(.DATA_W(DATA_W)) ramfs_lock_reply (
        .clk, .rst, .epoch, .hold(hold_reg), .wake_valid(wake_valid && !wake.told), .wake_ready(reply_ready), .wake,
        .reply
    );
    assign message_valid = wake_valid && wake.told && !hold_reg;
    ramfs_short_message #(.DATA_W(DATA_W)) lock_message (
        .clk, .rst, .epoch, .valid(message_valid), .ready(message_ready), .code(NOTIFY_LOCK), .bytes(6'(LOCK_BYTES)),
        .body({32'b0, -32'(errno_of_lock(wake.result)), wake.request_id}), .busy(message_busy), .out(notify)
    );
    assign wake_ready = wake.told ? message_ready && !hold_reg : reply_ready;
    assign quiet = !wakes_left && !reply.valid && !message_busy;
    assign places = 6'(waiting) + 6'(message_busy);

    always_ff @(posedge clk) begin
        if (rst || over) hold_reg <= 1'b0;
        else if (locker_valid && locker_ready) hold_reg <= 1'b1;
    end
endmodule
