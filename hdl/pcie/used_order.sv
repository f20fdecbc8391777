// With VIRTIO_F_IN_ORDER, used entries of a queue leave in the order in which its chains were made available (virtio 1.4,
// 2.7.9, 2.8.7): one that comes early is held here, and handed to its lane when those before it have been. What it
// answers with may be written meanwhile: data passes. Without the feature everything passes.
//
// Nothing of a queue that is being reset leaves from here.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module used_order
    import endpoint_pkg::*, pipeline_pkg::chain_start_t;
#(
    parameter int unsigned CONTEXTS = 32
) (
    input  logic                   clk,
    input  logic                   flush,
    input  logic                   in_order,
    input  logic [MAX_QUEUES-1:0]  queue_stop,
    input  logic [MAX_QUEUES-1:0]  queue_clear,
    input  logic                   start_valid,    // a chain gets a context: in the order of the available ring
    input  chain_start_t           start,
    input  logic [LANES-1:0]       in_valid,
    output logic [LANES-1:0]       in_ready,
    input  write_cmd_t [LANES-1:0] in,
    output logic [LANES-1:0]       out_valid,
    input  logic [LANES-1:0]       out_ready,
    output write_cmd_t [LANES-1:0] out,
    input  logic                   drop_valid,     // the context's chain will not be used
    input  context_t               drop,
    output logic [CONTEXTS-1:0]    held
);
    localparam int unsigned CW = $clog2(CONTEXTS);
    localparam int unsigned QW = $clog2(MAX_QUEUES);
    typedef logic [CW-1:0] index_t;     // of a context; a queue has fewer under way than there are

    // ---- the order of each queue ----

    index_t order_mem [2 ** (QW + CW)];
    index_t [MAX_QUEUES-1:0] first_reg;
    index_t [MAX_QUEUES-1:0] behind_reg;

    // ---- entries that wait ----

    typedef struct packed {
        lane_e       lane;
        context_t    ctx;
        logic [15:0] id;
        logic [15:0] slots;
        logic [31:0] len;
    } entry_t;
    entry_t              entry_mem [CONTEXTS];
    logic [CONTEXTS-1:0] held_reg;
    assign held = held_reg;

    logic [LANES-1:0] is_used;
    logic [LANES-1:0] takes;       // at most one lane's entry a cycle
    write_cmd_t       taken;
    lane_e            taken_lane;
    always_comb begin
        for (int unsigned l = 0; l < LANES; l++) is_used[l] = in_order && in[l].kind == WRITE_USED;
        takes = in_valid & is_used;
        takes &= ~takes + 1'b1;
        taken = in[LANE_REQ];
        taken_lane = LANE_REQ;
        for (int unsigned l = 0; l < LANES; l++) begin
            if (takes[l]) begin
                taken = in[l];
                taken_lane = lane_e'(l);
            end
        end
    end

    // ---- looks at one queue after the other ----

    typedef enum logic [1:0] { LOOK, TEST, GIVE } state_e;
    state_e state_reg;
    queue_t queue_reg;
    index_t ctx_reg;
    logic   some_reg;
    entry_t entry_reg;
    logic   given;
    logic   next_queue;
    assign given = state_reg == GIVE && out_ready[entry_reg.lane];
    assign next_queue = state_reg == TEST && !(some_reg && held_reg[ctx_reg]);

    write_cmd_t late;
    always_comb begin
        late = '0;
        late.kind = WRITE_USED;
        late.queue = queue_reg;
        late.ctx = entry_reg.ctx;
        late.id = entry_reg.id;
        late.slots = entry_reg.slots;
        late.len = entry_reg.len;
        for (int unsigned l = 0; l < LANES; l++) begin
            out_valid[l] = in_valid[l] && !is_used[l];
            in_ready[l] = is_used[l] ? takes[l] : out_ready[l];
            out[l] = in[l];
            if (state_reg == GIVE && entry_reg.lane == lane_e'(l)) begin
                out_valid[l] = 1'b1;
                in_ready[l] = takes[l];
                out[l] = late;
            end
        end
    end

    always_ff @(posedge clk) begin
        if (start_valid) order_mem[{start.queue, behind_reg[start.queue]}] <= index_t'(start.ctx);
        if (takes != 0) begin
            entry_mem[index_t'(taken.ctx)] <= '{
                lane: taken_lane, ctx: taken.ctx, id: taken.id, slots: taken.slots, len: taken.len
            };
        end
        if (state_reg == LOOK) ctx_reg <= order_mem[{queue_reg, first_reg[queue_reg]}];
        if (state_reg == TEST) entry_reg <= entry_mem[ctx_reg];
    end

    always_ff @(posedge clk) begin
        case (state_reg)
            LOOK: begin
                some_reg <= in_order && first_reg[queue_reg] != behind_reg[queue_reg] && !queue_stop[queue_reg];
                state_reg <= TEST;
            end
            TEST: state_reg <= next_queue ? LOOK : GIVE;
            default: if (given) state_reg <= LOOK;
        endcase
        if (next_queue) queue_reg <= queue_reg == queue_t'(MAX_QUEUES - 1) ? '0 : queue_reg + 1'b1;
        if (takes != 0) held_reg[index_t'(taken.ctx)] <= 1'b1;
        if (state_reg == TEST && !next_queue) held_reg[ctx_reg] <= 1'b0;
        if (drop_valid) held_reg[index_t'(drop)] <= 1'b0;
        if (start_valid) behind_reg[start.queue] <= behind_reg[start.queue] + 1'b1;
        if (state_reg == TEST && !next_queue) first_reg[queue_reg] <= first_reg[queue_reg] + 1'b1;
        for (int unsigned q = 0; q < MAX_QUEUES; q++) begin
            if (queue_clear[q]) begin
                first_reg[q] <= '0;
                behind_reg[q] <= '0;
            end
        end
        if (flush) begin
            state_reg <= LOOK;
            queue_reg <= '0;
            held_reg <= '0;
            first_reg <= '0;
            behind_reg <= '0;
        end
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
