// What is available in packed rings (virtio 1.4, 2.8.1 "Driver and Device Ring Wrap Counters"). A read takes some slots
// from the next position on; each is believed if its flags say that it is available, since an aligned descriptor is
// read as a whole. A single descriptor, or one that points to a table, is a chain that may be begun at once. The rest
// of a list is read by chain fetch, and only then it is known where the next chain begins. Reading goes on until a
// descriptor is found that is not available; a doorbell from then on leads to another read.
//
// Chains are used in any order, and a used descriptor goes where the oldest one in the ring lies, whichever it is of.
// So a list that is longer than a window, which is fetched again while its data moves, must be used before what comes
// behind it: nothing is begun behind such a list until its context is given back.
//
// Slots that the device holds are counted until their chain's context is given back, which is before its used
// descriptor is written: a driver that makes more available than there are breaks the ring.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module avail_packed
    import endpoint_pkg::*;
    import pipeline_pkg::*;
#(
    parameter int unsigned DATA_W = 256
) (
    input  logic                        clk,
    input  logic                        flush,
    input  queue_cfgs_t                 queues,
    input  logic [MAX_QUEUES-1:0]       queue_stop,
    input  logic [MAX_QUEUES-1:0]       queue_clear,
    // Which queues have something to read, and what it is for the one that was picked.
    input  logic [MAX_QUEUES-1:0]       served,
    input  logic [MAX_QUEUES-1:0]       allowed,       // there is a context for it
    input  logic [MAX_QUEUES-1:0]       pending,       // doorbell
    output logic [MAX_QUEUES-1:0]       again,         // as if it had rung
    output logic [MAX_QUEUES-1:0]       wants,
    output logic [MAX_QUEUES-1:0]       busy,          // a read is out or its answer at hand
    input  queue_t                      pick,
    input  logic                        planned,
    output ring_plan_t                  plan,
    // Answers, in the order of the requests.
    input  logic                        answer_valid,
    output logic                        answer_ready,
    input  ring_read_t                  order,
    input  logic [DATA_W-1:0]           answer,
    input  logic                        answer_last,
    input  logic                        answer_bad,
    output logic                        start_valid,
    input  logic                        start_ready,
    output chain_start_t                start,         // without its context
    // What became of the chains.
    input  context_t                    start_ctx,
    input  logic                        info_valid,
    input  chain_info_t                 info,
    input  logic [RELEASES-1:0]         release_valid,
    input  write_done_t [RELEASES-1:0]  released,
    output logic                        error_valid,
    input  logic                        error_ready,
    output error_t                      error
);
    import virtio_pkg::*;

    localparam int unsigned MAX_SLOTS = 4;                   // in one read
    localparam int unsigned BEAT_SLOTS = DATA_W / 128;
    localparam int unsigned BEATS = BEAT_SLOTS >= MAX_SLOTS ? 1 : MAX_SLOTS / BEAT_SLOTS;

    logic [MAX_QUEUES-1:0] read_reg;                   // a read is out or its answer at hand
    logic [MAX_QUEUES-1:0] list_reg;                   // its last chain's length is not known yet, or is long
    context_t              list_ctx_reg [MAX_QUEUES];
    logic [MAX_QUEUES-1:0] flip_reg;                   // the wrap counter is 0
    logic [15:0]           position_reg [MAX_QUEUES];
    logic [15:0]           held_reg [MAX_QUEUES];      // slots that the device has

    // ---- requests ----

    queue_cfg_t  plan_queue;
    logic [15:0] count;

    assign wants = served & pending & allowed & ~read_reg & ~list_reg;
    assign busy = read_reg;

    always_comb begin
        plan_queue = queues[pick];
        count = plan_queue.size - position_reg[pick];
        if (count > 16'(MAX_SLOTS)) count = 16'(MAX_SLOTS);
        plan.order.queue = pick;
        plan.order.index = 1'b0;
        plan.order.count = count[3:0];
        plan.claims = '0;
        plan.read.addr = plan_queue.desc + {44'd0, position_reg[pick], 4'd0};
        plan.read.bytes = {2'd0, count[3:0], 4'd0};
    end

    // ---- answers: one slot a cycle ----

    typedef enum logic [1:0] { WAIT, SLOT, FAIL } answer_e;
    answer_e                    answer_reg;
    ring_read_t                 now_reg;
    logic [BEATS*DATA_W-1:0]    slots_reg;
    logic [1:0]                 beat_reg;
    error_code_e                code_reg;
    queue_t                     now;
    queue_cfg_t                 now_queue;
    logic [15:0]                flags;
    logic                       stopped;
    logic                       halted;          // or the device needs a reset
    logic                       available;
    logic                       overrun;
    logic                       list;
    logic                       taken;
    logic                       listed;          // the walk of a list ended
    logic [MAX_QUEUES-1:0]      long_reg;        // and it is longer than a window
    logic [MAX_QUEUES-1:0]      ended;           // it was given back

    assign now = now_reg.queue;
    assign now_queue = queues[now];
    assign stopped = queue_stop[now];
    assign halted = !served[now];
    assign flags = slots_reg[127:112];
    assign available = flags[DESC_AVAIL] != flip_reg[now] && flags[DESC_USED] == flip_reg[now];
    assign overrun = held_reg[now] >= now_queue.size;
    assign list = flags[DESC_NEXT];   // with INDIRECT as well: that is broken, and chain fetch tells
    assign answer_ready = answer_reg == WAIT;
    assign start_valid = answer_reg == SLOT && !halted && available && !overrun && allowed[now] && !listed;
    assign start.ctx = '0;
    assign start.queue = now;
    assign start.lane = role_lane(now_queue.role);
    assign start.head = position_reg[now];
    assign start.room = now_queue.size - held_reg[now];
    assign start.descriptor = slots_reg[127:0];
    assign taken = start_valid && start_ready;
    assign error_valid = answer_reg == FAIL && !stopped;
    assign error = make_error(code_reg, 1'b1, now, now_queue.desc + {44'd0, position_reg[now], 4'd0});

    // Where a chain ends.
    queue_t      move_queue;
    logic [15:0] move_slots;
    logic [16:0] moved;
    logic        over;

    // One of them moves a position: while a list's walk ends no chain begins.
    assign listed = info_valid && list_reg[info.chain.queue] && list_ctx_reg[info.chain.queue] == info.chain.ctx;
    assign move_queue = listed ? info.chain.queue : now;
    assign move_slots = listed ? info.chain.slots : 16'd1;
    assign moved = 17'(position_reg[move_queue]) + 17'(move_slots);
    assign over = moved >= 17'(queues[move_queue].size);

    always_comb begin
        again = '0;
        // All that was read is begun, or what was read cannot be: look once more.
        if (answer_reg == SLOT && available && !overrun &&
            (!allowed[now] || (taken && !list && now_reg.count == 1))) again[now] = 1'b1;
        if (listed) again[info.chain.queue] = 1'b1;
        again |= ended;
    end

    always_comb begin
        ended = '0;
        for (int q = 0; q < int'(MAX_QUEUES); q++) begin
            for (int r = 0; r < int'(RELEASES); r++) begin
                if (long_reg[q] && release_valid[r] && released[r].queue == queue_t'(q) &&
                    released[r].ctx == list_ctx_reg[q]) ended[q] = 1'b1;
            end
        end
    end

    always_ff @(posedge clk) begin
        if (flush) begin
            answer_reg <= WAIT;
            beat_reg <= '0;
            read_reg <= '0;
        end else begin
            if (planned) read_reg[pick] <= 1'b1;
            case (answer_reg)
                WAIT: if (answer_valid) begin
                    slots_reg[beat_reg*DATA_W +: DATA_W] <= answer;
                    beat_reg <= answer_last ? '0 : beat_reg + 1'b1;
                    now_reg <= order;
                    code_reg <= ERR_RING_READ;
                    if (answer_last) answer_reg <= answer_bad ? FAIL : SLOT;
                end
                SLOT: if (halted || !available || !(overrun || allowed[now])) begin
                    read_reg[now] <= 1'b0;
                    answer_reg <= WAIT;
                end else if (overrun) begin
                    code_reg <= ERR_AVAIL_INDEX;
                    answer_reg <= FAIL;
                end else if (taken) begin
                    slots_reg <= slots_reg >> 128;
                    now_reg.count <= now_reg.count - 1'b1;
                    if (list || now_reg.count == 1) begin
                        read_reg[now] <= 1'b0;
                        answer_reg <= WAIT;
                    end
                end
                default: if (stopped || error_ready) begin
                    read_reg[now] <= 1'b0;
                    answer_reg <= WAIT;
                end
            endcase
        end
    end

    always_ff @(posedge clk) begin
        if (taken && list) list_ctx_reg[now] <= start_ctx;
        for (int q = 0; q < int'(MAX_QUEUES); q++) begin
            logic [15:0] held;
            held = held_reg[q];
            if (taken && now == queue_t'(q)) held = held + 1'b1;
            if (listed && info.chain.queue == queue_t'(q)) held = held + info.chain.slots - 1'b1;
            for (int r = 0; r < int'(RELEASES); r++) begin
                if (release_valid[r] && released[r].queue == queue_t'(q)) held = held - released[r].slots;
            end
            held_reg[q] <= held;
            if (taken && list && now == queue_t'(q)) list_reg[q] <= 1'b1;
            if (listed && info.chain.queue == queue_t'(q)) begin
                list_reg[q] <= info.more;
                long_reg[q] <= info.more;
            end
            if (ended[q]) begin
                list_reg[q] <= 1'b0;
                long_reg[q] <= 1'b0;
            end
            if ((listed || (taken && !list)) && move_queue == queue_t'(q)) begin
                position_reg[q] <= over ? 16'(moved - 17'(queues[q].size)) : moved[15:0];
                flip_reg[q] <= flip_reg[q] ^ over;
            end
            if (flush || queue_clear[q]) begin
                held_reg[q] <= '0;
                list_reg[q] <= 1'b0;
                long_reg[q] <= 1'b0;
                position_reg[q] <= '0;
                flip_reg[q] <= 1'b0;
            end
        end
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
