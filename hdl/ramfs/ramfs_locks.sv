// Locks as the engine has them: the lock table, the phase of requests that ask it, the end of sessions, interrupts, and
// the answers of requests that waited.
module ramfs_locks
    import endpoint_pkg::*, ramfs_pkg::*, ramfs_core_pkg::*, ramfs_message_pkg::*, ramfs_row_pkg::*;
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
    // Express path.
    input  logic            interrupt_valid,
    input  logic [63:0]     interrupt_id,
    output logic            interrupt_done,
    output logic            interrupt_found,
    stream_if.src           reply
);
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

    ramfs_locker ramfs_locker (
        .clk, .rst, .start, .request, .header, .body, .row, .found, .done, .error, .parked,
        .cmd_valid(locker_valid), .cmd_ready(locker_ready), .cmd(locker_cmd), .rsp_valid, .result(rsp.result)
    );

    // A session ends only while no request is in its lock phase.
    assign cmd_valid = end_valid || locker_valid;
    assign end_ready = cmd_ready;
    assign locker_ready = cmd_ready;
    assign end_done = rsp_valid;
    always_comb begin
        cmd = locker_cmd;
        if (end_valid) begin
            cmd = '0;
            cmd.op = end_silent ? LOCKS_RESET : LOCKS_END;
        end
    end

    lock_table #(.LOCKS(LOCKS), .WAITS(LOCK_WAITS)) lock_table (
        .clk, .rst, .cmd_valid, .cmd_ready, .cmd, .rsp_valid, .rsp,
        .interrupt_valid, .interrupt_id, .interrupt_done, .interrupt_found, .wake_valid, .wake_ready, .wake, .wakes_left
    );
    assign found_lock = rsp.lock;

    logic hold_reg;
    ramfs_lock_reply #(.DATA_W(DATA_W)) ramfs_lock_reply (
        .clk, .rst, .epoch, .hold(hold_reg), .wake_valid, .wake_ready, .wake, .reply
    );
    assign quiet = !wakes_left && !reply.valid;

    always_ff @(posedge clk) begin
        if (rst || over) hold_reg <= 1'b0;
        else if (locker_valid && locker_ready) hold_reg <= 1'b1;
    end
endmodule
