// What is available in split rings (virtio 1.4, 2.7.6). The index is read by a request of its own, ring entries by a
// request issued after the index has come back (the trust rule), and only for as many entries as there are free
// contexts. With VIRTIO_F_EVENT_IDX the driver kicks when it passes avail_event: when all entries that are known have
// been fetched, that is asked to become the index, and then the index is read again, or a kick would be lost
// (2.7.10).
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module avail_split
    import endpoint_pkg::*;
    import pipeline_pkg::*;
(
    input  logic                  clk,
    input  logic                  flush,
    input  queue_cfgs_t           queues,
    input  logic                  event_idx,
    input  logic [MAX_QUEUES-1:0] queue_stop,
    input  logic [MAX_QUEUES-1:0] queue_clear,
    // Which queues have something to read, and what it is for the one that was picked.
    input  logic [MAX_QUEUES-1:0] served,
    input  logic [MAX_QUEUES-1:0] allowed,       // there is a context for it
    input  logic [MAX_QUEUES-1:0] pending,       // doorbell
    output logic [MAX_QUEUES-1:0] again,         // as if it had rung
    output logic [MAX_QUEUES-1:0] wants,
    output logic [MAX_QUEUES-1:0] busy,          // a read is out or its answer at hand
    input  queue_t                pick,
    input  logic [6:0]            allowance,     // contexts for it
    input  logic                  planned,
    output ring_plan_t            plan,
    // Answers, in the order of the requests.
    input  logic                  answer_valid,
    output logic                  answer_ready,
    input  ring_read_t            order,
    input  logic [127:0]          answer,        // its first beat
    input  logic                  answer_last,
    input  logic                  answer_bad,
    output logic                  start_valid,
    input  logic                  start_ready,
    output chain_start_t          start,         // without its context
    output logic                  drop_valid,    // contexts set aside that no entry will need
    output ring_read_t            dropped,
    output logic                  event_valid,
    input  logic                  event_ready,
    output queue_t                event_queue,
    output logic [15:0]           event_index,
    output logic                  error_valid,
    input  logic                  error_ready,
    output error_t                error
);
    localparam int unsigned MAX_ENTRIES = 8;   // in one read: they fit the narrowest beat

    logic [MAX_QUEUES-1:0] index_busy_reg;
    logic [MAX_QUEUES-1:0] ring_busy_reg;
    logic [15:0]           known_reg [MAX_QUEUES];     // available index last read
    logic [15:0]           fetched_reg [MAX_QUEUES];   // entries asked for
    logic [15:0]           event_reg [MAX_QUEUES];     // avail_event last written

    // ---- requests ----

    logic [MAX_QUEUES-1:0] wants_index;
    logic [MAX_QUEUES-1:0] wants_event;

    always_comb begin
        for (int q = 0; q < int'(MAX_QUEUES); q++) begin
            wants_index[q] = served[q] && pending[q] && !index_busy_reg[q];
            wants[q] = wants_index[q] ||
                (served[q] && !ring_busy_reg[q] && known_reg[q] != fetched_reg[q] && allowed[q]);
            wants_event[q] = served[q] && event_idx && !pending[q] && !index_busy_reg[q] &&
                known_reg[q] == fetched_reg[q] && known_reg[q] != event_reg[q];
        end
    end
    assign busy = index_busy_reg | ring_busy_reg;

    queue_cfg_t  plan_queue;
    logic [15:0] position;
    logic [15:0] count;

    always_comb begin
        plan_queue = queues[pick];
        position = fetched_reg[pick] & (plan_queue.size - 1'b1);
        count = known_reg[pick] - fetched_reg[pick];
        if (count > 16'(MAX_ENTRIES)) count = 16'(MAX_ENTRIES);
        if (count > plan_queue.size - position) count = plan_queue.size - position;
        if (count > 16'(allowance)) count = 16'(allowance);
        plan.order.queue = pick;
        plan.order.index = wants_index[pick];
        plan.order.count = count[3:0];
        plan.claims = plan.order.index ? '0 : count[3:0];
        plan.read.addr = plan_queue.driver + (plan.order.index ? 64'd2 : 64'd4 + 64'({position, 1'b0}));
        plan.read.bytes = plan.order.index ? 10'd2 : {5'd0, count[3:0], 1'b0};
    end

    // ---- answers ----

    typedef enum logic [2:0] { WAIT, INDEX, ENTRIES, FAIL, DROP } answer_e;
    answer_e      answer_reg;
    ring_read_t   now_reg;
    logic [127:0] data_reg;
    error_code_e  code_reg;
    queue_cfg_t   now_queue;
    logic         stopped;
    logic         head_bad;

    assign now_queue = queues[now_reg.queue];
    assign stopped = queue_stop[now_reg.queue];
    assign head_bad = data_reg[15:0] >= now_queue.size;
    assign answer_ready = answer_reg == WAIT;
    assign start_valid = answer_reg == ENTRIES && !head_bad && !stopped;
    assign start.ctx = '0;
    assign start.queue = now_reg.queue;
    assign start.lane = role_lane(now_queue.role);
    assign start.head = data_reg[15:0];
    assign start.room = '0;
    assign start.descriptor = '0;
    assign drop_valid = answer_reg == DROP && !now_reg.index;
    assign dropped = now_reg;
    assign error_valid = answer_reg == FAIL && !stopped;
    assign error = make_error(code_reg, 1'b1, now_reg.queue, now_queue.driver);

    always_ff @(posedge clk) begin
        if (flush) begin
            answer_reg <= WAIT;
            index_busy_reg <= '0;
            ring_busy_reg <= '0;
            for (int q = 0; q < int'(MAX_QUEUES); q++) begin
                known_reg[q] <= '0;
                fetched_reg[q] <= '0;
            end
        end else begin
            if (planned && plan.order.index) begin
                index_busy_reg[pick] <= 1'b1;
            end else if (planned) begin
                ring_busy_reg[pick] <= 1'b1;
                fetched_reg[pick] <= fetched_reg[pick] + count;
            end

            case (answer_reg)
                WAIT: if (answer_valid && answer_last) begin
                    now_reg <= order;
                    data_reg <= answer;
                    code_reg <= ERR_RING_READ;
                    answer_reg <= answer_bad ? FAIL : order.index ? INDEX : ENTRIES;
                end
                INDEX: begin
                    // More entries than the ring holds cannot be new, whatever was fetched of them.
                    code_reg <= ERR_AVAIL_INDEX;
                    if (!stopped && (data_reg[15:0] - fetched_reg[now_reg.queue] > now_queue.size ||
                                     data_reg[15:0] - known_reg[now_reg.queue] > now_queue.size)) begin
                        answer_reg <= FAIL;
                    end else begin
                        known_reg[now_reg.queue] <= data_reg[15:0];
                        index_busy_reg[now_reg.queue] <= 1'b0;
                        answer_reg <= WAIT;
                    end
                end
                ENTRIES: if (stopped) begin
                    answer_reg <= DROP;
                end else if (head_bad) begin
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
                FAIL: if (stopped || error_ready) answer_reg <= DROP;
                default: begin
                    if (now_reg.index) index_busy_reg[now_reg.queue] <= 1'b0;
                    else ring_busy_reg[now_reg.queue] <= 1'b0;
                    answer_reg <= WAIT;
                end
            endcase
            for (int q = 0; q < int'(MAX_QUEUES); q++) begin
                if (queue_clear[q]) begin
                    known_reg[q] <= '0;
                    fetched_reg[q] <= '0;
                end
            end
        end
    end

    // ---- avail_event, one write at a time ----

    queue_t event_pick;

    always_comb begin
        event_pick = '0;
        for (int q = int'(MAX_QUEUES) - 1; q >= 0; q--) if (wants_event[q]) event_pick = queue_t'(q);
        again = '0;
        again[event_queue] = event_valid && event_ready;
    end

    always_ff @(posedge clk) begin
        if (!event_valid) begin
            event_valid <= wants_event != '0;
            event_queue <= event_pick;
            event_index <= known_reg[event_pick];
        end else if (event_ready) begin
            event_valid <= 1'b0;
            event_reg[event_queue] <= event_index;
        end
        for (int q = 0; q < int'(MAX_QUEUES); q++) if (flush || queue_clear[q]) event_reg[q] <= '0;
        if (flush) begin
            event_valid <= 1'b0;
            event_queue <= '0;
        end
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
