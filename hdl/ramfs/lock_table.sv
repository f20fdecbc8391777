// POSIX locks and flocks, and the requests that wait for them (docs/file-system.md, "Locks").
//
// One command at a time, each with one `rsp_valid` of one cycle when those that wait have had their turn: after some
// thousand cycles at most. An interrupt comes in between any two of these turns, so that it is done within 100 cycles.
// The answers of requests that waited come by `wake`: none needs to be taken while a command is under way, but
// LOCKS_WAIT does not begin while there is no room for more.
//
// In a session with messages (`messages` when the one before it ended) a request that waits is told so at once, and
// needs a place in the message store. Where that session ends, nobody who waits is told.
module lock_table
    import ramfs_pkg::*, lock_pkg::*;
#(
    parameter int unsigned LOCKS = 64,
    parameter int unsigned WAITS = 8
) (
    input  logic        clk,
    input  logic        rst,
    input  logic        cmd_valid,
    output logic        cmd_ready,
    input  lock_cmd_t   cmd,
    input  logic        may_park,           // else LOCKS_WAIT finds no room where it would wait
    output logic        rsp_valid,
    output lock_rsp_t   rsp,
    input  logic        interrupt_valid,    // stays until `interrupt_done`
    input  logic [63:0] interrupt_id,       // `unique` of the request that waits
    output logic        interrupt_done,
    output logic        interrupt_found,    // it waited: its wake follows
    output logic        wake_valid,
    input  logic        wake_ready,
    output lock_wake_t  wake,
    output logic        wakes_left,         // not taken yet
    // Messages.
    input  logic        messages,
    output logic        told,               // this session has them
    output logic        place_valid,        // one more is wanted
    input  logic        place_ready,
    input  logic        place_free,         // with place_ready: it is there, and kept from then on
    output logic [$clog2(2*WAITS+1)-1:0] places     // that are kept for what waits, and for wakes
);
    localparam int unsigned COUNT_W = $clog2(WAITS + 1);
    localparam int unsigned WAKES = 2 ** $clog2(2 * WAITS);

    // RUN: the command itself, PLACE: a wait asks for its place. Then, or instead, the waits are looked at from the
    // oldest on: LOAD, LOOK, TRY. Between two of them, or while there is no command, an interrupt looks for its wait:
    // SEEK, SEEN.
    typedef enum logic [3:0] {IDLE, CHECK, RUN, PLACE, LOAD, LOOK, TRY, SEEK, SEEN} state_e;
    state_e    state_reg;
    state_e    back_reg;                    // goes on behind the interrupt
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
    logic               may_wait;
    logic               put;
    logic               look;
    logic               remove;
    logic               forget_waits;
    logic               forget_wakes;
    logic [COUNT_W-1:0] position_reg;
    logic [COUNT_W-1:0] seek_reg;           // the interrupt's position
    logic [COUNT_W-1:0] position;
    logic [COUNT_W-1:0] count;
    wait_t              waiting;

    lock_waits #(.WAITS(WAITS)) waits (
        .clk, .rst, .forget(forget_waits), .put,
        .put_wait('{
            ctx: cmd_reg.ctx, of_queue: cmd_reg.of_queue, request_id: cmd_reg.request_id, lock: held_of(cmd_reg.lock)
        }),
        .look, .position, .wait_found(waiting), .remove, .count
    );

    logic  retry;                           // the command made room: the wait is tried
    logic  ends;                            // the command ends the wait
    assign retry = (cmd_reg.op == LOCKS_SET || cmd_reg.op == LOCKS_WAIT) && waiting.lock.node == cmd_reg.lock.node
        && waiting.lock.flock == cmd_reg.lock.flock;
    always_comb begin
        case (cmd_reg.op)
            LOCKS_DROP: ends = waiting.lock.node == cmd_reg.lock.node;
            LOCKS_END: ends = 1'b1;
            LOCKS_FORGET: ends = waiting.of_queue == cmd_reg.of_queue && !told;
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
    assign forget_wakes = state_reg == CHECK && cmd_reg.op == LOCKS_RESET;
    assign forget_waits = forget_wakes || (state_reg == CHECK && cmd_reg.op == LOCKS_END && told);
    assign may_wait = blocked && cmd_reg.op == LOCKS_WAIT && count != COUNT_W'(WAITS) && may_park;
    assign place_valid = state_reg == PLACE;
    assign put = state_reg == PLACE ? place_ready && place_free : state_reg == RUN && done && may_wait && !told;
    assign position = state_reg == SEEK || state_reg == SEEN ? seek_reg : position_reg;
    assign look = (state_reg == LOAD || state_reg == SEEK) && position != count;
    assign remove = (state_reg == LOOK && ends) || (state_reg == TRY && done && !blocked)
        || (state_reg == SEEN && interrupt_found);

    assign interrupt_found = state_reg == SEEN && waiting.request_id == interrupt_id;
    assign interrupt_done = interrupt_found || (state_reg == SEEK && position == count);

    // ---- answers of waits ----
    lock_wake_t               woken;
    logic [$clog2(WAKES)-1:0] wakes_reg;    // not taken yet; there is always room for those of all waits
    logic                     unused_ready;
    logic                     wakes_one;

    assign wakes_one = remove && !(state_reg == LOOK && cmd_reg.op == LOCKS_FORGET);
    assign woken.told = told;
    assign woken.ctx = waiting.ctx;
    assign woken.request_id = waiting.request_id;
    always_comb begin
        if (state_reg == TRY) woken.result = full ? LOCK_FULL : LOCK_GRANTED;
        else woken.result = state_reg == LOOK && cmd_reg.op == LOCKS_DROP ? LOCK_CLOSED : LOCK_INTERRUPTED;
    end
    sync_fifo #(.WIDTH($bits(lock_wake_t)), .DEPTH(WAKES)) wakes (
        .clk, .rst(rst || forget_wakes),
        .in_valid(wakes_one), .in_ready(unused_ready), .in_data(woken),
        .out_valid(wake_valid), .out_ready(wake_ready), .out_data(wake)
    );
    always_ff @(posedge clk) begin
        if (rst || forget_wakes) wakes_reg <= '0;
        else wakes_reg <= wakes_reg + ($clog2(WAKES))'(wakes_one) - ($clog2(WAKES))'(wake_valid && wake_ready);
    end

    assign wakes_left = wakes_reg != '0;
    assign places = told ? ($clog2(2*WAITS+1))'(count) + ($clog2(2*WAITS+1))'(wakes_reg) : '0;

    always_ff @(posedge clk) begin
        if (rst) told <= 1'b0;
        else if (forget) told <= messages;
    end

    // ---- the steps ----
    assign cmd_ready = state_reg == IDLE && !interrupt_valid
        && (cmd.op != LOCKS_WAIT || wakes_reg < ($clog2(WAKES))'(WAKES / 2));

    always_ff @(posedge clk) begin
        rsp_valid <= 1'b0;
        case (state_reg)
            IDLE: begin
                seek_reg <= '0;
                back_reg <= IDLE;
                if (interrupt_valid) begin
                    state_reg <= SEEK;
                end else if (cmd_valid && cmd_ready) begin
                    cmd_reg <= cmd;
                    position_reg <= '0;
                    state_reg <= CHECK;
                end
            end
            CHECK: begin
                rsp <= '{result: LOCK_GRANTED, lock: cmd_reg.lock};
                state_reg <= RUN;
                if (command && invalid) begin
                    rsp.result <= LOCK_INVALID;
                    rsp_valid <= 1'b1;
                    state_reg <= IDLE;
                end
                if (cmd_reg.op == LOCKS_END || cmd_reg.op == LOCKS_RESET || cmd_reg.op == LOCKS_FORGET) state_reg <= LOAD;
            end
            RUN: if (done) begin
                rsp_valid <= !freed && cmd_reg.op != LOCKS_DROP;
                state_reg <= freed || cmd_reg.op == LOCKS_DROP ? LOAD : IDLE;
                if (cmd_reg.op == LOCKS_TEST) begin
                    rsp.lock <= lock_of(blocked ? blocker : held_of(cmd_reg.lock));
                    if (!blocked) rsp.lock.kind <= LOCK_UNLOCK;
                end else if (blocked || full) begin
                    rsp.result <= !blocked ? LOCK_FULL : put ? LOCK_PARKED : cmd_reg.op == LOCKS_WAIT ? LOCK_FULL
                        : LOCK_CONFLICT;
                    rsp_valid <= !(may_wait && told);
                    state_reg <= may_wait && told ? PLACE : IDLE;
                end
            end
            PLACE: if (place_ready) begin
                if (place_free) rsp.result <= LOCK_PARKED;
                rsp_valid <= 1'b1;
                state_reg <= IDLE;
            end
            LOAD: begin
                seek_reg <= '0;
                back_reg <= LOAD;
                state_reg <= LOOK;
                if (interrupt_valid) begin
                    state_reg <= SEEK;
                end else if (position_reg == count) begin
                    rsp_valid <= 1'b1;
                    state_reg <= IDLE;
                end
            end
            LOOK: begin
                state_reg <= retry ? TRY : LOAD;
                if (!ends && !retry) position_reg <= position_reg + COUNT_W'(1);
            end
            SEEK: state_reg <= interrupt_done ? back_reg : SEEN;
            SEEN: begin
                seek_reg <= seek_reg + COUNT_W'(1);
                state_reg <= interrupt_done ? back_reg : SEEK;
                if (interrupt_found && seek_reg < position_reg) position_reg <= position_reg - COUNT_W'(1);
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
