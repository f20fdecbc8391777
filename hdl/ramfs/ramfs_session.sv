// The session, and its end: all locks go, lookups and opens of all inodes become 0, and requests that waited for a lock
// have been answered. Where another session follows, nobody sees a moment without any.
module ramfs_session
    import ramfs_pkg::*, ramfs_core_pkg::*, notify_pkg::*;
#(
    parameter int unsigned INODES = 1024
) (
    input  logic      clk,
    input  logic      rst,
    input  logic      finish,           // one cycle; the answer is `done`
    output logic      done,
    input  logic      pending,          // a reset: no answer is waited for
    input  logic      renew,            // another session follows: `begin_new` comes with `done`
    input  logic      begin_new,        // one cycle
    input  logic      epochs,           // the new client knows INC_EPOCH
    output logic      active,
    output logic      ending,           // it is being ended
    output session_t  session,
    output logic      lock_valid,       // locks go, what waits ends
    input  logic      lock_ready,
    input  logic      lock_done,
    input  logic      lock_quiet,       // and is answered
    output logic      node_valid,
    input  logic      node_ready,
    output node_cmd_t node,
    input  logic      node_done
);
    typedef enum logic [2:0] { IDLE, UNLOCK, UNLOCK_WAIT, RELEASE, WAIT, ANSWER } state_e;
    state_e     state_reg;
    node_slot_t slot_reg;

    logic [1:0] number_reg;
    logic       epochs_reg;
    assign ending = state_reg != IDLE;
    assign session = '{active: active && !ending, begins: begin_new, number: number_reg, epochs: epochs_reg};
    assign lock_valid = state_reg == UNLOCK;
    assign node_valid = state_reg == RELEASE;
    always_comb begin
        node = '0;
        node.op = NODE_RELEASE;
        node.slot = slot_reg;
    end

    always_ff @(posedge clk) begin
        done <= 1'b0;
        case (state_reg)
            IDLE: begin
                slot_reg <= 12'(ROOT_SLOT);
                // Without a session too: a reset may come while answers of the one before are under way.
                if (finish) state_reg <= UNLOCK;
                if (begin_new) begin
                    active <= 1'b1;
                    number_reg <= number_reg + 1'b1;
                    epochs_reg <= epochs;
                end
            end
            UNLOCK: if (lock_ready) state_reg <= UNLOCK_WAIT;
            UNLOCK_WAIT: if (lock_done) state_reg <= active ? RELEASE : ANSWER;
            RELEASE: if (node_ready) state_reg <= WAIT;
            WAIT: if (node_done) begin
                slot_reg <= slot_reg + 1'b1;
                state_reg <= slot_reg == 12'(INODES - 1) ? ANSWER : RELEASE;
                if (slot_reg == 12'(INODES - 1) && !renew) active <= 1'b0;
            end
            default: if (lock_quiet || pending) begin
                done <= 1'b1;
                state_reg <= IDLE;
            end
        endcase
        if (rst) begin
            state_reg <= IDLE;
            number_reg <= '0;
            active <= 1'b0;
            done <= 1'b0;
        end
    end
endmodule
