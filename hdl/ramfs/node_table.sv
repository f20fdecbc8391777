// The inodes. Each command reads one, changes it and writes it back before the next begins, so that those of the
// express path may come between any two of the main path. While the lister has the table, express commands wait for
// a boundary between its slices (`hold`, `holding`).
//
// An inode that nothing holds any more is put into the queue of graves; the reaper looks at it again.
//
// Slots may be wider than needed.
// verilator lint_off UNUSEDSIGNAL
module node_table
    import ramfs_pkg::*, ramfs_core_pkg::*;
#(
    parameter int unsigned INODES = 1024
) (
    input  logic       clk,
    input  logic       rst,
    output logic       ready,
    // Main path: one command at a time. The answer is the inode as it is then; it stays until the next.
    input  logic       cmd_valid,
    output logic       cmd_ready,
    input  node_cmd_t  cmd,
    output logic       rsp_valid,
    output node_t      rsp,
    output logic       rsp_buried,
    // Express path.
    input  logic       forget_valid,
    output logic       forget_ready,
    input  forget_t    forget,
    // The lister's port.
    input  logic       listing,
    output logic       hold,
    input  logic       holding,
    input  logic       list_valid,
    output logic       list_ready,
    input  logic       list_write,
    input  node_slot_t list_slot,
    input  node_t      list_wdata,
    output node_t      list_rdata,
    // To look at an inode when nobody else wants the table.
    input  logic       peek_valid,
    output logic       peek_ready,
    input  node_slot_t peek_slot,
    output node_t      peek_node,           // a cycle after peek_ready
    // Inodes that may be dead.
    output logic       grave_valid,
    input  logic       grave_ready,
    output node_slot_t grave
);
    localparam int unsigned SLOT_W = $clog2(INODES);
    if (INODES < 4 || INODES > 4096 || INODES != 2 ** SLOT_W) begin : gen_check
        $fatal(1, "node_table: INODES %0d is no power of two from 4 to 4096", INODES);
    end

    typedef enum logic [1:0] { CLEAR, IDLE, CHANGE } state_e;
    state_e            state_reg;
    logic [SLOT_W-1:0] clear_reg;
    logic              express_reg;         // whose command it is
    node_cmd_t         cmd_reg;
    forget_t           forget_reg;

    // ---- who is next ----

    assign ready = state_reg != CLEAR;
    assign hold = forget_valid;
    assign forget_ready = state_reg == IDLE && (!listing || holding);
    assign cmd_ready = state_reg == IDLE && !forget_valid && !list_valid;
    assign list_ready = state_reg == IDLE && !(forget_valid && forget_ready);
    assign peek_ready = state_reg == IDLE && !forget_valid && !list_valid && !cmd_valid;

    // ---- what becomes of the inode ----

    node_t old;
    node_t made;
    logic  write;
    node_slot_t slot;

    node_patch node_patch (.old, .express(express_reg), .cmd(cmd_reg), .forget(forget_reg), .made, .write);

    assign slot = express_reg ? forget_reg.slot : cmd_reg.slot;

    logic grave_put;
    logic unused_ready;                     // there is room for all of them
    assign grave_put = state_reg == CHANGE && write && made.alive && is_free(made) && !is_free(old);
    sync_fifo #(.WIDTH(12), .DEPTH(INODES)) graves (
        .clk, .rst, .in_valid(grave_put), .in_ready(unused_ready), .in_data(slot),
        .out_valid(grave_valid), .out_ready(grave_ready), .out_data(grave)
    );

    // ---- the memory ----

    node_t             nodes [INODES];
    logic              store;
    logic [SLOT_W-1:0] store_slot;
    node_t             store_node;
    logic [SLOT_W-1:0] load_slot;
    node_t             root;
    node_t             none;

    assign list_rdata = old;
    assign peek_node = old;
    always_comb begin
        none = '0;
        none.generation = '1;               // the first is 0
        root = '0;
        root.alive = 1'b1;
        root.mode = 16'o040755;
        root.nlink = 32'd2;
        root.parent = 12'(ROOT_SLOT);
    end
    always_comb begin
        load_slot = cmd_valid || !peek_valid ? cmd.slot[SLOT_W-1:0] : peek_slot[SLOT_W-1:0];
        if (list_valid && list_ready) load_slot = list_slot[SLOT_W-1:0];
        if (forget_valid && forget_ready) load_slot = forget.slot[SLOT_W-1:0];
        store = state_reg == CHANGE && write;
        store_slot = slot[SLOT_W-1:0];
        store_node = made;
        if (state_reg == CLEAR) begin
            store = 1'b1;
            store_slot = clear_reg;
            store_node = 32'(clear_reg) == ROOT_SLOT ? root : none;
        end else if (state_reg == IDLE) begin
            store = list_valid && list_ready && list_write;
            store_slot = list_slot[SLOT_W-1:0];
            store_node = list_wdata;
        end
    end

    always_ff @(posedge clk) begin
        if (store) nodes[store_slot] <= store_node;
        if (state_reg == IDLE) old <= nodes[load_slot];
    end

    always_ff @(posedge clk) begin
        rsp_valid <= 1'b0;
        case (state_reg)
            CLEAR: begin
                clear_reg <= clear_reg + 1'b1;
                if (clear_reg == '1) state_reg <= IDLE;
            end
            IDLE: begin
                cmd_reg <= cmd;
                forget_reg <= forget;
                express_reg <= forget_valid;
                if (forget_valid ? forget_ready : cmd_valid && cmd_ready) state_reg <= CHANGE;
            end
            default: begin
                rsp_valid <= !express_reg;
                if (!express_reg) begin
                    rsp <= made;
                    rsp_buried <= cmd_reg.op == NODE_BURY && write;
                end
                state_reg <= IDLE;
            end
        endcase
        if (rst) begin
            state_reg <= CLEAR;
            clear_reg <= '0;
            rsp_valid <= 1'b0;
        end
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
