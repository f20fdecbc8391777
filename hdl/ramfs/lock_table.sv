// POSIX locks and flocks, and the requests that wait for them (docs/file-system.md, "Locks").
//
// One command at a time, each with one `rsp_valid` of one cycle. `cmd_ready` may then stay low for some hundred cycles,
// while those that wait get their turn. The answers of requests that waited come by `wake`: none needs to be taken while
// a command is under way, but no command begins while there is no room for more.
module lock_table
    import ramfs_pkg::*, lock_pkg::*;
#(
    parameter int unsigned LOCKS = 64,
    parameter int unsigned WAITS = 8
) (
    input  logic       clk,
    input  logic       rst,
    input  logic       cmd_valid,
    output logic       cmd_ready,
    input  lock_cmd_t  cmd,
    output logic       rsp_valid,
    output lock_rsp_t  rsp,
    output logic       wake_valid,
    input  logic       wake_ready,
    output lock_wake_t wake
);
    localparam int unsigned COUNT_W = $clog2(WAITS + 1);
    localparam int unsigned WAKES = 2 ** $clog2(2 * WAITS);

    // RUN: the command itself. Then, or instead, the waits are looked at from the oldest on: LOAD, LOOK, TRY.
    typedef enum logic [2:0] {IDLE, CHECK, RUN, LOAD, LOOK, TRY} state_e;
    state_e    state_reg;
    lock_cmd_t cmd_reg;
    logic      invalid;
    logic      unlock;
    logic      command;                     // cmd_reg is about locks that are held

    assign unlock = cmd_reg.lock.kind == LOCK_UNLOCK;
    assign invalid = cmd_reg.lock.kind > LOCK_UNLOCK || (cmd_reg.op == LOCKS_TEST && unlock)
        || (!cmd_reg.lock.flock && (cmd_reg.lock.start > cmd_reg.lock.finish || cmd_reg.lock.finish[63]));
    assign command = cmd_reg.op == LOCKS_TEST || cmd_reg.op == LOCKS_SET || cmd_reg.op == LOCKS_WAIT;

    // ---- held locks ----
    ranges_cmd_t ranges_cmd;
    logic        start;
    logic        done;
    logic        blocked;
    logic        full;
    logic        freed;
    logic        forget;
    held_t       blocker;

    lock_ranges #(.LOCKS(LOCKS)) ranges (
        .clk, .rst, .forget, .start, .cmd(ranges_cmd), .done, .blocked, .full, .freed, .blocker
    );

    // ---- waits ----
    logic               put;
    logic               look;
    logic               remove;
    logic               forget_waits;
    logic [COUNT_W-1:0] position_reg;
    logic [COUNT_W-1:0] count;
    wait_t              waiting;

    lock_waits #(.WAITS(WAITS)) waits (
        .clk, .rst, .forget(forget_waits), .put,
        .put_wait('{ctx: cmd_reg.ctx, request_id: cmd_reg.request_id, lock: held_of(cmd_reg.lock)}),
        .look, .position(position_reg), .wait_found(waiting), .remove, .count
    );

    logic  retry;                           // the command made room: the wait is tried
    logic  ends;                            // the command ends the wait
    assign retry = (cmd_reg.op == LOCKS_SET || cmd_reg.op == LOCKS_WAIT) && waiting.lock.node == cmd_reg.lock.node
        && waiting.lock.flock == cmd_reg.lock.flock;
    always_comb begin
        case (cmd_reg.op)
            LOCKS_DROP: ends = waiting.lock.node == cmd_reg.lock.node;
            LOCKS_INTERRUPT: ends = waiting.request_id == cmd_reg.request_id;
            LOCKS_END: ends = 1'b1;
            default: ends = 1'b0;
        endcase
    end

    always_comb begin
        ranges_cmd.lock = held_of(cmd_reg.lock);
        case (cmd_reg.op)
            LOCKS_TEST: ranges_cmd.op = RANGES_TEST;
            LOCKS_DROP: ranges_cmd.op = RANGES_DROP;
            default: ranges_cmd.op = unlock ? RANGES_UNLOCK : RANGES_SET;
        endcase
        if (state_reg == LOOK || state_reg == TRY) ranges_cmd = '{op: RANGES_SET, lock: waiting.lock};
    end
    assign start = (state_reg == CHECK && ((command && !invalid) || cmd_reg.op == LOCKS_DROP))
        || (state_reg == LOOK && retry);
    assign forget = state_reg == CHECK && (cmd_reg.op == LOCKS_END || cmd_reg.op == LOCKS_RESET);
    assign forget_waits = state_reg == CHECK && cmd_reg.op == LOCKS_RESET;
    assign put = state_reg == RUN && done && blocked && cmd_reg.op == LOCKS_WAIT && count != COUNT_W'(WAITS);
    assign look = state_reg == LOAD && position_reg != count;
    assign remove = (state_reg == LOOK && ends) || (state_reg == TRY && done && !blocked);

    // ---- answers of waits ----
    lock_wake_t               woken;
    logic [$clog2(WAKES)-1:0] wakes_reg;    // not taken yet; there is always room for those of all waits
    logic                     unused_ready;

    assign woken.ctx = waiting.ctx;
    assign woken.request_id = waiting.request_id;
    always_comb begin
        if (state_reg == TRY) woken.result = full ? LOCK_FULL : LOCK_GRANTED;
        else woken.result = cmd_reg.op == LOCKS_DROP ? LOCK_CLOSED : LOCK_INTERRUPTED;
    end
    sync_fifo #(.WIDTH($bits(lock_wake_t)), .DEPTH(WAKES)) wakes (
        .clk, .rst(rst || forget_waits),
        .in_valid(remove), .in_ready(unused_ready), .in_data(woken),
        .out_valid(wake_valid), .out_ready(wake_ready), .out_data(wake)
    );
    always_ff @(posedge clk) begin
        if (rst || forget_waits) wakes_reg <= '0;
        else wakes_reg <= wakes_reg + ($clog2(WAKES))'(remove) - ($clog2(WAKES))'(wake_valid && wake_ready);
    end

    // ---- the steps ----
    assign cmd_ready = state_reg == IDLE && wakes_reg < ($clog2(WAKES))'(WAKES / 2);

    always_ff @(posedge clk) begin
        rsp_valid <= 1'b0;
        case (state_reg)
            IDLE: if (cmd_valid && cmd_ready) begin
                cmd_reg <= cmd;
                position_reg <= '0;
                state_reg <= CHECK;
            end
            CHECK: begin
                rsp <= '{result: LOCK_GRANTED, lock: cmd_reg.lock};
                state_reg <= RUN;
                if (command && invalid) begin
                    rsp.result <= LOCK_INVALID;
                    rsp_valid <= 1'b1;
                    state_reg <= IDLE;
                end
                if (cmd_reg.op == LOCKS_INTERRUPT) begin
                    rsp.result <= LOCK_CONFLICT;
                    state_reg <= LOAD;
                end
                if (cmd_reg.op == LOCKS_END || cmd_reg.op == LOCKS_RESET) begin
                    rsp_valid <= 1'b1;
                    state_reg <= LOAD;
                end
            end
            RUN: if (done) begin
                rsp_valid <= 1'b1;
                state_reg <= freed || cmd_reg.op == LOCKS_DROP ? LOAD : IDLE;
                if (cmd_reg.op == LOCKS_TEST) begin
                    rsp.lock <= lock_of(blocked ? blocker : held_of(cmd_reg.lock));
                    if (!blocked) rsp.lock.kind <= LOCK_UNLOCK;
                end else if (blocked || full) begin
                    rsp.result <= !blocked ? LOCK_FULL : put ? LOCK_PARKED : cmd_reg.op == LOCKS_WAIT ? LOCK_FULL
                        : LOCK_CONFLICT;
                    state_reg <= IDLE;
                end
            end
            LOAD: begin
                state_reg <= LOOK;
                if (position_reg == count) begin
                    rsp_valid <= cmd_reg.op == LOCKS_INTERRUPT;
                    state_reg <= IDLE;
                end
            end
            LOOK: begin
                state_reg <= retry ? TRY : LOAD;
                if (!ends && !retry) position_reg <= position_reg + COUNT_W'(1);
                if (ends && cmd_reg.op == LOCKS_INTERRUPT) begin
                    rsp.result <= LOCK_GRANTED;
                    rsp_valid <= 1'b1;
                    state_reg <= IDLE;
                end
            end
            default: if (done) begin
                // Who is granted a weaker lock than the one that it held lets others in, older ones too.
                position_reg <= blocked ? position_reg + COUNT_W'(1) : '0;
                state_reg <= LOAD;
            end
        endcase
        if (rst) begin
            rsp_valid <= 1'b0;
            state_reg <= IDLE;
        end
    end
endmodule
