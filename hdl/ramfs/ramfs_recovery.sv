// The recovery walk (docs/notifications.md, "Recovery"): after an invalidation was dropped the session is told to
// forget everything, inode after inode. It reads the inodes in cycles in which nobody else does.
module ramfs_recovery
    import notify_pkg::*, ramfs_pkg::*, ramfs_core_pkg::*;
#(
    parameter int unsigned INODES = 1024
) (
    input  logic       clk,
    input  logic       rst,
    input  session_t   session,
    input  logic       overflow,        // it is wanted
    input  logic       dropped,         // one cycle: begin anew
    input  logic       room,            // for one message
    output logic       peek_valid,
    input  logic       peek_ready,
    output node_slot_t peek_slot,
    input  node_t      peek_node,       // one cycle after peek_ready
    output logic       valid,           // it may be withdrawn
    output repair_t    repair,
    input  logic       take,
    output logic       walked           // one cycle: all of it was taken
);
    typedef enum logic [2:0] { IDLE, EPOCH, ROOM, READ, LOOK, OFFER } state_e;
    state_e      state_reg;
    node_slot_t  slot_reg;
    logic [31:0] generation_reg;
    logic        last;
    logic        cached;

    logic unused;                       // of an inode, only some fields count here
    assign unused = &{1'b0, peek_node, session};

    assign last = slot_reg == 12'(INODES - 1);
    assign cached = peek_node.alive && may_be_cached(slot_reg, peek_node);
    assign peek_valid = state_reg == READ;
    assign peek_slot = slot_reg;
    assign valid = state_reg == EPOCH || state_reg == OFFER;
    always_comb begin
        repair = '0;
        repair.epoch = state_reg == EPOCH;
        repair.inval.nodeid = {generation_reg, 20'b0, slot_reg};
    end

    always_ff @(posedge clk) begin
        walked <= 1'b0;
        case (state_reg)
            IDLE: begin
                slot_reg <= 12'(ROOT_SLOT);
                if (overflow && !walked) state_reg <= session.epochs ? EPOCH : ROOM;
            end
            EPOCH: if (take) state_reg <= ROOM;
            ROOM: if (room) state_reg <= READ;
            READ: if (peek_ready) state_reg <= LOOK;
            LOOK: begin
                generation_reg <= peek_node.generation;
                state_reg <= OFFER;
                if (!cached) begin
                    slot_reg <= slot_reg + 1'b1;
                    walked <= last;
                    state_reg <= last ? IDLE : READ;
                end
            end
            default: if (take) begin
                slot_reg <= slot_reg + 1'b1;
                walked <= last;
                state_reg <= last ? IDLE : ROOM;
            end else if (!room) begin
                state_reg <= ROOM;      // by then it may be forgotten
            end
        endcase
        if (dropped || !overflow || !session.active) begin
            state_reg <= IDLE;
            walked <= 1'b0;
        end
        if (rst) state_reg <= IDLE;
    end
endmodule
