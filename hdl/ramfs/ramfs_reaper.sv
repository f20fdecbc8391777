// Buries inodes that nothing holds any more, between two operations of the main path: the pages go, the slot is free.
//
// Of the page unit's answers it needs only that they come. Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module ramfs_reaper
    import ramfs_pkg::*, ramfs_core_pkg::*;
(
    input  logic       clk,
    input  logic       rst,
    input  logic       enable,            // no operation is on
    output logic       busy,              // none may begin
    input  logic       grave_valid,
    output logic       grave_ready,
    input  node_slot_t grave,
    output logic       node_valid,
    input  logic       node_ready,
    output node_cmd_t  node,
    input  logic       node_done,
    input  logic       node_buried,
    input  node_t      node_rsp,
    output logic       page_valid,
    input  logic       page_ready,
    output page_cmd_t  page,
    input  logic       page_done,
    output logic       slot_give,
    output node_slot_t slot
);
    typedef enum logic [2:0] { IDLE, BURY, BURY_WAIT, DROP, DROP_WAIT, GIVE } state_e;
    state_e state_reg;

    assign busy = state_reg != IDLE || grave_valid;
    assign grave_ready = state_reg == IDLE && enable;
    assign node_valid = state_reg == BURY;
    assign page_valid = state_reg == DROP;
    assign slot_give = state_reg == GIVE;
    always_comb begin
        node = '0;
        node.op = NODE_BURY;
        node.slot = slot;
        page = '0;
        page.op = PAGES_DROP;
        page.node = slot;
    end

    always_ff @(posedge clk) begin
        case (state_reg)
            IDLE: begin
                slot <= grave;
                if (grave_valid && enable) state_reg <= BURY;
            end
            BURY: if (node_ready) state_reg <= BURY_WAIT;
            BURY_WAIT: if (node_done) state_reg <= !node_buried ? IDLE : node_rsp.pages != 0 ? DROP : GIVE;
            DROP: if (page_ready) state_reg <= DROP_WAIT;
            DROP_WAIT: if (page_done) state_reg <= GIVE;
            default: state_reg <= IDLE;
        endcase
        if (rst) state_reg <= IDLE;
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
