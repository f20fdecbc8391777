// The session, and its end: lookups and opens of all inodes become 0. Where another one follows, nobody sees a moment
// without any.
module ramfs_session
    import ramfs_pkg::*, ramfs_core_pkg::*;
#(
    parameter int unsigned INODES = 1024
) (
    input  logic      clk,
    input  logic      rst,
    input  logic      finish,           // one cycle; the answer is `done`
    output logic      done,
    input  logic      renew,            // another session follows: `begin_new` comes with `done`
    input  logic      begin_new,        // one cycle
    output logic      active,
    output logic      ending,           // it is being ended
    output logic      node_valid,
    input  logic      node_ready,
    output node_cmd_t node,
    input  logic      node_done
);
    typedef enum logic [1:0] { IDLE, RELEASE, WAIT } state_e;
    state_e     state_reg;
    node_slot_t slot_reg;

    assign ending = state_reg != IDLE;
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
                if (finish && active) state_reg <= RELEASE;
                done <= finish && !active;
                if (begin_new) active <= 1'b1;
            end
            RELEASE: if (node_ready) state_reg <= WAIT;
            default: if (node_done) begin
                slot_reg <= slot_reg + 1'b1;
                done <= slot_reg == 12'(INODES - 1);
                state_reg <= slot_reg == 12'(INODES - 1) ? IDLE : RELEASE;
                if (slot_reg == 12'(INODES - 1) && !renew) active <= 1'b0;
            end
        endcase
        if (rst) begin
            state_reg <= IDLE;
            active <= 1'b0;
            done <= 1'b0;
        end
    end
endmodule
