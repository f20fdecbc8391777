// From doorbells to chains with a context, in turn among the queues. A doorbell is a sticky bit. What is to be read
// then, and what an answer means, is the business of the ring's format: avail_split and avail_packed.
//
// queue_stop: nothing new is read or begun for a queue, and what was read is dropped. When all contexts of the queue
// are back and no read is out, it is quiet, and queue_clear (one cycle, while stopped) lets its position be forgotten.
//
// `queue` is a virtqueue. Records are taken whole; not every field counts here.
// verilator lint_off SYMRSVDWORD
// verilator lint_off UNUSEDSIGNAL
module scheduler
    import endpoint_pkg::*;
    import pipeline_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned CONTEXTS = 32,
    parameter int unsigned NUM_REQUEST_QUEUES = 4
) (
    input  logic                        clk,
    input  logic                        flush,
    input  queue_cfgs_t                 queues,
    input  device_state_t               device,
    input  logic                        serve,
    input  logic [MAX_QUEUES-1:0]       doorbell,
    input  logic [MAX_QUEUES-1:0]       queue_stop,
    input  logic [MAX_QUEUES-1:0]       queue_clear,
    output logic [MAX_QUEUES-1:0]       queue_quiet,
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
    input  logic                        info_valid,    // a chain was walked
    input  chain_info_t                 info,
    input  logic [RELEASES-1:0]         release_valid,
    input  write_done_t [RELEASES-1:0]  released,
    output logic                        error_valid,
    input  logic                        error_ready,
    output error_t                      error
);
    localparam int unsigned REQ_CONTEXTS = lane_contexts(int'(LANE_REQ), CONTEXTS);
    localparam int unsigned QUEUE_CAP = queue_contexts(NUM_REQUEST_QUEUES, CONTEXTS);

    if (CONTEXTS < 16 || CONTEXTS > 64 || REQ_CONTEXTS < 2 * NUM_REQUEST_QUEUES) begin : gen_check
        $fatal(1, "scheduler: %0d contexts do not serve %0d request queues", CONTEXTS, NUM_REQUEST_QUEUES);
    end

    // ---- what is known of each queue ----

    logic [MAX_QUEUES-1:0] pending_reg;
    logic [6:0]            inflight_reg [MAX_QUEUES];  // contexts claimed
    logic                  stopped_reg;                // after a fatal error
    logic [LANES-1:0][6:0] unclaimed;
    logic [MAX_QUEUES-1:0] served;
    logic [MAX_QUEUES-1:0] allowed;                    // there is a context for it
    logic [MAX_QUEUES-1:0] again, split_again, packed_again;
    logic [MAX_QUEUES-1:0] wants, split_wants, packed_wants;
    logic [MAX_QUEUES-1:0] split_busy, packed_busy;
    logic                  ring_packed;

    assign ring_packed = device.ring_packed;
    assign again = ring_packed ? packed_again : split_again;
    assign wants = ring_packed ? packed_wants : split_wants;

    always_comb begin
        for (int q = 0; q < int'(MAX_QUEUES); q++) begin
            served[q] = serve && !stopped_reg && queues[q].enable && queues[q].role != ROLE_NONE && !queue_stop[q];
            allowed[q] = unclaimed[role_lane(queues[q].role)] != 0 &&
                (queues[q].role != ROLE_REQUEST || inflight_reg[q] < 7'(QUEUE_CAP));
            queue_quiet[q] = !split_busy[q] && !packed_busy[q] && inflight_reg[q] == 0 &&
                !(event_valid && event_queue == queue_t'(q));
        end
    end

    // ---- requests: pick a queue, then ask ----

    typedef enum logic [1:0] { PICK, PLAN, ASK } ask_e;
    ask_e       ask_reg;
    queue_t     pick_reg;
    ring_plan_t plan_reg;
    ring_plan_t plan, split_plan, packed_plan;
    queue_t     pick;
    logic       pick_found;
    logic       planned;
    logic [6:0] allowance;
    lane_e      pick_lane;

    always_comb begin
        pick = '0;
        pick_found = 1'b0;
        if (ask_reg == PICK) begin
            // The first after the last one picked; the lower index wins among the rest.
            for (int q = int'(MAX_QUEUES) - 1; q >= 0; q--) begin
                if (wants[q]) begin
                    pick = queue_t'(q);
                    pick_found = 1'b1;
                end
            end
            for (int q = int'(MAX_QUEUES) - 1; q >= 0; q--) begin
                if (wants[q] && q > int'(pick_reg)) pick = queue_t'(q);
            end
        end
    end

    always_comb begin
        pick_lane = role_lane(queues[pick_reg].role);
        allowance = unclaimed[pick_lane];
        if (queues[pick_reg].role == ROLE_REQUEST && allowance > 7'(QUEUE_CAP) - inflight_reg[pick_reg]) begin
            allowance = 7'(QUEUE_CAP) - inflight_reg[pick_reg];
        end
    end

    assign plan = ring_packed ? packed_plan : split_plan;
    assign planned = ask_reg == PLAN && wants[pick_reg];

    logic order_in_ready;
    logic asked;

    assign req_valid = ask_reg == ASK && order_in_ready;
    assign req = plan_reg.read;
    assign asked = req_valid && req_ready;

    // ---- answers, in the order of the requests ----

    ring_read_t   order;
    logic         order_valid;
    logic         answer_valid, split_answer_ready, packed_answer_ready;
    chain_start_t split_start, packed_start;
    logic         split_start_valid, packed_start_valid;
    logic         split_error_valid, packed_error_valid;
    error_t       split_error, packed_error;
    logic         drop_valid;
    ring_read_t   dropped;
    context_t     take_ctx;
    logic         taken;

    sync_fifo #(.WIDTH($bits(ring_read_t)), .DEPTH(32)) order_fifo (
        .clk, .rst(flush),
        .in_valid(asked), .in_ready(order_in_ready), .in_data(plan_reg.order),
        .out_valid(order_valid), .out_ready(rsp.valid && rsp.ready && rsp.last), .out_data(order)
    );

    assign answer_valid = rsp.valid && order_valid;
    assign rsp.ready = order_valid && (ring_packed ? packed_answer_ready : split_answer_ready);
    assign start_valid = ring_packed ? packed_start_valid : split_start_valid;
    assign error_valid = ring_packed ? packed_error_valid : split_error_valid;
    assign error = ring_packed ? packed_error : split_error;
    assign taken = start_valid && start_ready;

    always_comb begin
        start = ring_packed ? packed_start : split_start;
        start.ctx = take_ctx;
    end

    avail_split avail_split (
        .clk, .flush, .queues, .event_idx(device.event_idx && !ring_packed), .queue_stop, .queue_clear,
        .served(ring_packed ? '0 : served), .allowed, .pending(pending_reg), .again(split_again), .wants(split_wants),
        .busy(split_busy), .pick(pick_reg), .allowance, .planned(planned && !ring_packed), .plan(split_plan),
        .answer_valid(answer_valid && !ring_packed), .answer_ready(split_answer_ready), .order,
        .answer(rsp.data[127:0]), .answer_last(rsp.last), .answer_bad(rsp.user[0]),
        .start_valid(split_start_valid), .start_ready, .start(split_start), .drop_valid, .dropped,
        .event_valid, .event_ready, .event_queue, .event_index,
        .error_valid(split_error_valid), .error_ready, .error(split_error)
    );

    avail_packed #(.DATA_W(DATA_W)) avail_packed (
        .clk, .flush, .queues, .queue_stop, .queue_clear,
        .served(ring_packed ? served : '0), .allowed, .pending(pending_reg), .again(packed_again), .wants(packed_wants),
        .busy(packed_busy), .pick(pick_reg), .planned(planned && ring_packed), .plan(packed_plan),
        .answer_valid(answer_valid && ring_packed), .answer_ready(packed_answer_ready), .order,
        .answer(rsp.data), .answer_last(rsp.last), .answer_bad(rsp.user[0]),
        .start_valid(packed_start_valid), .start_ready, .start(packed_start), .start_ctx(take_ctx),
        .info_valid, .info, .release_valid, .released,
        .error_valid(packed_error_valid), .error_ready, .error(packed_error)
    );

    // ---- contexts: set aside with the request in split rings, taken when a chain is seen in packed ones ----

    logic       claim_valid;
    queue_t     claim_queue;
    logic [3:0] claim_count;

    assign claim_valid = ring_packed ? taken : planned && plan.claims != 0;
    assign claim_queue = ring_packed ? start.queue : pick_reg;
    assign claim_count = ring_packed ? 4'd1 : plan.claims;

    context_pool #(.CONTEXTS(CONTEXTS)) context_pool (
        .clk, .flush, .unclaimed,
        .claim_valid, .claim_lane(role_lane(queues[claim_queue].role)), .claim_count,
        .drop_valid, .drop_lane(role_lane(queues[dropped.queue].role)), .drop_count(dropped.count),
        .take_lane(start.lane), .take_ctx, .take_valid(taken),
        .release_valid, .released
    );

    always_ff @(posedge clk) begin
        if (flush) begin
            ask_reg <= PICK;
            pick_reg <= '0;
            stopped_reg <= 1'b0;
            pending_reg <= '0;
            for (int q = 0; q < int'(MAX_QUEUES); q++) inflight_reg[q] <= '0;
        end else begin
            case (ask_reg)
                PICK: if (pick_found) begin
                    pick_reg <= pick;
                    ask_reg <= PLAN;
                end
                PLAN: begin
                    plan_reg <= plan;
                    // A doorbell from here on is for what this read may miss.
                    if (planned && (ring_packed || plan.order.index)) pending_reg[pick_reg] <= 1'b0;
                    ask_reg <= planned ? ASK : PICK;
                end
                default: if (asked) ask_reg <= PICK;
            endcase
            if (error_valid) stopped_reg <= 1'b1;

            for (int q = 0; q < int'(MAX_QUEUES); q++) begin
                logic [6:0] inflight;
                inflight = inflight_reg[q];
                if (claim_valid && claim_queue == queue_t'(q)) inflight = inflight + 7'(claim_count);
                if (drop_valid && dropped.queue == queue_t'(q)) inflight = inflight - 7'(dropped.count);
                for (int r = 0; r < int'(RELEASES); r++) begin
                    if (release_valid[r] && released[r].queue == queue_t'(q)) inflight = inflight - 1'b1;
                end
                inflight_reg[q] <= inflight;
                if (queue_clear[q]) pending_reg[q] <= 1'b0;
                if (doorbell[q] || again[q]) pending_reg[q] <= 1'b1;
            end
        end
    end
endmodule
// verilator lint_on SYMRSVDWORD
// verilator lint_on UNUSEDSIGNAL
