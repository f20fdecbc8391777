// From doorbells to ring entries with a context.
//
// A doorbell is a sticky bit. The index is read by a request of its own, ring entries by a request issued after the
// index has come back (the trust rule), and only for as many entries as there are free contexts.
//
// `queue` is a virtqueue. Records are taken whole; not every field counts here.
// verilator lint_off SYMRSVDWORD
// verilator lint_off UNUSEDSIGNAL
module scheduler
    import endpoint_pkg::*;
    import pipeline_pkg::*;
#(
    parameter int unsigned CONTEXTS = 32,
    parameter int unsigned NUM_REQUEST_QUEUES = 4
) (
    input  logic                        clk,
    input  logic                        flush,
    input  queue_cfgs_t                 queues,
    input  device_state_t               device,
    input  logic                        serve,
    input  logic [MAX_QUEUES-1:0]       doorbell,
    input  logic [MAX_QUEUES-1:0]       queue_stop,    // start nothing new for it, drop what is under way here
    input  logic [MAX_QUEUES-1:0]       queue_clear,   // one cycle, while stopped and quiet: forget its position
    output logic [MAX_QUEUES-1:0]       queue_quiet,   // no ring read out, no context claimed
    output logic                        req_valid,
    input  logic                        req_ready,
    output read_req_t                   req,
    stream_if.snk                       rsp,
    output logic                        event_valid,   // write avail_event of the queue
    input  logic                        event_ready,   // that write was granted to rq
    output queue_t                      event_queue,
    output logic [15:0]                 event_index,
    output logic                        start_valid,
    input  logic                        start_ready,
    output chain_start_t                start,
    input  logic [RELEASES-1:0]         release_valid,
    input  write_done_t [RELEASES-1:0]  released,
    output logic                        error_valid,
    input  logic                        error_ready,
    output error_t                      error
);
    localparam int unsigned REQ_CONTEXTS = lane_contexts(int'(LANE_REQ), CONTEXTS);
    localparam int unsigned QUEUE_CAP = queue_contexts(NUM_REQUEST_QUEUES, CONTEXTS);
    localparam int unsigned MAX_ENTRIES = 8;   // in one read: they fit the narrowest beat

    if (CONTEXTS < 16 || CONTEXTS > 64 || REQ_CONTEXTS < 2 * NUM_REQUEST_QUEUES) begin : gen_check
        $fatal(1, "scheduler: %0d contexts do not serve %0d request queues", CONTEXTS, NUM_REQUEST_QUEUES);
    end

    // ---- what is known of each queue ----

    logic [MAX_QUEUES-1:0] pending_reg;
    logic [MAX_QUEUES-1:0] index_busy_reg;
    logic [MAX_QUEUES-1:0] ring_busy_reg;
    logic [15:0]           known_reg [MAX_QUEUES];     // available index last read
    logic [15:0]           fetched_reg [MAX_QUEUES];   // entries asked for
    logic [6:0]            inflight_reg [MAX_QUEUES];  // contexts claimed
    logic                  stopped_reg;                // after a fatal error

    logic [LANES-1:0][6:0] unclaimed;

    logic [MAX_QUEUES-1:0] wants_index;
    logic [MAX_QUEUES-1:0] wants_ring;

    always_comb begin
        for (int q = 0; q < int'(MAX_QUEUES); q++) begin
            wants_index[q] = 1'b0;
            wants_ring[q] = 1'b0;
            if (serve && !stopped_reg && queues[q].enable && queues[q].role != ROLE_NONE) begin
                wants_index[q] = pending_reg[q] && !index_busy_reg[q];
                wants_ring[q] = !ring_busy_reg[q] && known_reg[q] != fetched_reg[q] &&
                    unclaimed[role_lane(queues[q].role)] != 0 &&
                    (queues[q].role != ROLE_REQUEST || inflight_reg[q] < 7'(QUEUE_CAP));
            end
        end
    end

    // ---- requests: pick a queue, then ask ----

    typedef enum logic [1:0] { PICK, PLAN, ASK } ask_e;
    ask_e        ask_reg;
    queue_t      pick_reg;
    logic        ring_reg;
    logic [3:0]  count_reg;
    logic [63:0] addr_reg;

    queue_t      pick;
    logic        pick_found;

    always_comb begin
        pick = '0;
        pick_found = 1'b0;
        if (ask_reg == PICK) begin
            // The first after the last one picked; the lower index wins among the rest.
            for (int q = int'(MAX_QUEUES) - 1; q >= 0; q--) begin
                if (wants_index[q] || wants_ring[q]) begin
                    pick = queue_t'(q);
                    pick_found = 1'b1;
                end
            end
            for (int q = int'(MAX_QUEUES) - 1; q >= 0; q--) begin
                if ((wants_index[q] || wants_ring[q]) && q > int'(pick_reg)) pick = queue_t'(q);
            end
        end
    end

    queue_cfg_t  plan_queue;
    logic [15:0] plan_position;
    logic [15:0] plan_count;

    always_comb begin
        plan_queue = queues[pick_reg];
        plan_position = fetched_reg[pick_reg] & (plan_queue.size - 1'b1);
        plan_count = known_reg[pick_reg] - fetched_reg[pick_reg];
        if (plan_count > 16'(MAX_ENTRIES)) plan_count = 16'(MAX_ENTRIES);
        if (plan_count > plan_queue.size - plan_position) plan_count = plan_queue.size - plan_position;
        if (plan_count > 16'(unclaimed[role_lane(plan_queue.role)])) begin
            plan_count = 16'(unclaimed[role_lane(plan_queue.role)]);
        end
        if (plan_queue.role == ROLE_REQUEST && plan_count > 16'(QUEUE_CAP) - 16'(inflight_reg[pick_reg])) begin
            plan_count = 16'(QUEUE_CAP) - 16'(inflight_reg[pick_reg]);
        end
    end

    logic order_in_ready;
    logic asked;
    logic claim_valid;

    assign event_valid = 1'b0;
    assign event_queue = '0;
    assign event_index = '0;
    always_comb begin
        for (int q = 0; q < int'(MAX_QUEUES); q++) begin
            queue_quiet[q] = !index_busy_reg[q] && !ring_busy_reg[q] && inflight_reg[q] == 0;
        end
    end

    assign req_valid = ask_reg == ASK && order_in_ready;
    assign req.addr = addr_reg;
    assign req.bytes = ring_reg ? {5'd0, count_reg, 1'b0} : 10'd2;
    assign asked = req_valid && req_ready;
    assign claim_valid = asked && ring_reg;

    // ---- answers, in the order of the requests ----

    typedef struct packed {
        logic       ring;
        queue_t     queue;
        logic [3:0] count;
    } order_t;
    order_t order;
    logic   order_valid;

    sync_fifo #(.WIDTH($bits(order_t)), .DEPTH(32)) order_fifo (
        .clk, .rst(flush),
        .in_valid(asked), .in_ready(order_in_ready), .in_data({ring_reg, pick_reg, count_reg}),
        .out_valid(order_valid), .out_ready(rsp.valid && rsp.ready && rsp.last), .out_data(order)
    );

    typedef enum logic [2:0] { WAIT, INDEX, ENTRIES, FAIL } answer_e;
    answer_e      answer_reg;
    order_t       now_reg;
    logic [127:0] data_reg;
    error_code_e  code_reg;
    queue_cfg_t   now_queue;
    logic         taken;
    logic         head_bad;

    assign now_queue = queues[now_reg.queue];
    assign rsp.ready = answer_reg == WAIT && order_valid;
    assign head_bad = data_reg[15:0] >= now_queue.size;
    assign start_valid = answer_reg == ENTRIES && !head_bad;
    assign start.queue = now_reg.queue;
    assign start.lane = role_lane(now_queue.role);
    assign start.head = data_reg[15:0];
    assign taken = start_valid && start_ready;
    assign error_valid = answer_reg == FAIL;
    assign error = make_error(code_reg, 1'b1, now_reg.queue, now_queue.driver);

    context_pool #(.CONTEXTS(CONTEXTS)) context_pool (
        .clk, .flush, .unclaimed,
        .claim_valid, .claim_lane(role_lane(plan_queue.role)), .claim_count(count_reg),
        .take_lane(start.lane), .take_ctx(start.ctx), .take_valid(taken),
        .release_valid, .released
    );

    always_ff @(posedge clk) begin
        if (flush) begin
            ask_reg <= PICK;
            pick_reg <= '0;
            answer_reg <= WAIT;
            stopped_reg <= 1'b0;
            pending_reg <= '0;
            index_busy_reg <= '0;
            ring_busy_reg <= '0;
            for (int q = 0; q < int'(MAX_QUEUES); q++) begin
                known_reg[q] <= '0;
                fetched_reg[q] <= '0;
                inflight_reg[q] <= '0;
            end
        end else begin
            case (ask_reg)
                PICK: if (pick_found) begin
                    pick_reg <= pick;
                    ask_reg <= PLAN;
                end
                PLAN: begin
                    ring_reg <= !wants_index[pick_reg];
                    count_reg <= plan_count[3:0];
                    addr_reg <= plan_queue.driver +
                        (wants_index[pick_reg] ? 64'd2 : 64'd4 + 64'({plan_position, 1'b0}));
                    if (wants_index[pick_reg]) begin
                        // A doorbell from here on is for an index that this read may miss.
                        pending_reg[pick_reg] <= 1'b0;
                        index_busy_reg[pick_reg] <= 1'b1;
                        ask_reg <= ASK;
                    end else if (wants_ring[pick_reg]) begin
                        ring_busy_reg[pick_reg] <= 1'b1;
                        ask_reg <= ASK;
                    end else begin
                        ask_reg <= PICK;
                    end
                end
                default: if (asked) begin
                    if (ring_reg) fetched_reg[pick_reg] <= fetched_reg[pick_reg] + 16'(count_reg);
                    ask_reg <= PICK;
                end
            endcase

            case (answer_reg)
                WAIT: if (rsp.valid && rsp.ready && rsp.last) begin
                    now_reg <= order;
                    data_reg <= rsp.data[127:0];
                    code_reg <= ERR_RING_READ;
                    answer_reg <= rsp.user[0] ? FAIL : order.ring ? ENTRIES : INDEX;
                end
                INDEX: begin
                    // More entries than the ring holds cannot be new, whatever was fetched of them.
                    code_reg <= ERR_AVAIL_INDEX;
                    if (data_reg[15:0] - fetched_reg[now_reg.queue] > now_queue.size ||
                        data_reg[15:0] - known_reg[now_reg.queue] > now_queue.size) begin
                        answer_reg <= FAIL;
                    end else begin
                        known_reg[now_reg.queue] <= data_reg[15:0];
                        index_busy_reg[now_reg.queue] <= 1'b0;
                        answer_reg <= WAIT;
                    end
                end
                ENTRIES: if (head_bad) begin
                    code_reg <= ERR_HEAD_INDEX;
                    answer_reg <= FAIL;
                end else if (start_ready) begin
                    data_reg <= data_reg >> 16;
                    now_reg.count <= now_reg.count - 1'b1;
                    if (now_reg.count == 1) begin
                        ring_busy_reg[now_reg.queue] <= 1'b0;
                        answer_reg <= WAIT;
                    end
                end
                default: if (error_ready) answer_reg <= WAIT;
            endcase
            if (answer_reg == FAIL) stopped_reg <= 1'b1;

            for (int q = 0; q < int'(MAX_QUEUES); q++) begin
                logic [6:0] inflight;
                inflight = inflight_reg[q];
                if (claim_valid && pick_reg == queue_t'(q)) inflight = inflight + 7'(count_reg);
                for (int r = 0; r < int'(RELEASES); r++) begin
                    if (release_valid[r] && released[r].queue == queue_t'(q)) inflight = inflight - 1'b1;
                end
                inflight_reg[q] <= inflight;
                if (doorbell[q]) pending_reg[q] <= 1'b1;
            end
        end
    end
endmodule
// verilator lint_on SYMRSVDWORD
// verilator lint_on UNUSEDSIGNAL
