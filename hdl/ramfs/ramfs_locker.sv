// The lock phase of a request: what GETLK, SETLK, SETLKW, FLUSH, RELEASE and RELEASEDIR ask of the lock table.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module ramfs_locker
    import endpoint_pkg::*, ramfs_pkg::*, ramfs_core_pkg::*, ramfs_message_pkg::*, ramfs_row_pkg::*;
(
    input  logic            clk,
    input  logic            rst,
    input  logic            start,
    input  engine_request_t request,
    input  in_header_t      header,
    input  body_t           body,
    input  row_t            row,
    input  found_t          found,
    output logic            done,           // one cycle; then the rest stays until the next start
    output errno_e          error,
    output logic            parked,         // no answer now
    output logic            cmd_valid,
    input  logic            cmd_ready,
    output lock_cmd_t       cmd,
    input  logic            rsp_valid,
    input  lock_result_e    result
);
    typedef enum logic [1:0] { IDLE, ASK, WAIT } state_e;
    state_e state_reg;
    logic   second_reg;                     // the second command of a close

    lock_in_t    lock;
    release_in_t leave;
    assign lock = lock_in_t'(body);
    assign leave = release_in_t'(body);

    logic asks;
    always_comb begin
        cmd = '0;
        cmd.op = LOCKS_SET;
        cmd.ctx = request.ctx[5:0];
        cmd.of_queue = request.queue[3:0];
        cmd.request_id = header.unique_id;
        cmd.lock.node = found.a.slot;
        // Unless the request tells more: the owner's locks go.
        cmd.lock.flock = row.act == ACT_CLOSE;
        cmd.lock.owner = leave.lock_owner;
        cmd.lock.finish = LOCK_LAST_BYTE;
        cmd.lock.kind = LOCK_UNLOCK;
        asks = row.act == ACT_FLUSH || (row.act == ACT_CLOSE && leave.release_flags[RELEASE_FLOCK_UNLOCK]);
        if (row.act == ACT_LOCK) begin
            if (header.opcode == OP_GETLK) cmd.op = LOCKS_TEST;
            if (header.opcode == OP_SETLKW) cmd.op = LOCKS_WAIT;
            cmd.lock.flock = lock.lk_flags[LK_FLOCK];
            cmd.lock.owner = lock.owner;
            cmd.lock.start = lock.lock.start;
            cmd.lock.finish = lock.lock.finish;
            cmd.lock.kind = lock.lock.kind;
            cmd.lock.pid = lock.lock.pid;
            asks = 1'b1;
        end
        if (second_reg) begin
            cmd.op = LOCKS_DROP;
            asks = row.act == ACT_CLOSE && found.a.open_once;
        end
    end
    assign cmd_valid = state_reg == ASK && asks;

    always_ff @(posedge clk) begin
        done <= 1'b0;
        case (state_reg)
            IDLE: begin
                second_reg <= 1'b0;
                if (start) begin
                    error <= OK;
                    parked <= 1'b0;
                    state_reg <= ASK;
                end
            end
            ASK: if (asks) begin
                if (cmd_ready) state_reg <= WAIT;
            end else begin
                second_reg <= 1'b1;
                done <= second_reg;
                if (second_reg) state_reg <= IDLE;
            end
            default: if (rsp_valid) begin
                if (!second_reg) error <= errno_of_lock(result);
                parked <= result == LOCK_PARKED;
                second_reg <= 1'b1;
                done <= second_reg;
                state_reg <= second_reg ? IDLE : ASK;
            end
        endcase
        if (rst) begin
            state_reg <= IDLE;
            done <= 1'b0;
        end
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
