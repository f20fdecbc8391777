// Decides on used buffer notifications: after what made an entry used has left on rq, the driver's wish is read, and
// unless it says otherwise the queue's interrupt is wanted. The read is issued after the entry: a wish seen earlier
// loses interrupts.
//
//   split                  available flags, VIRTQ_AVAIL_F_NO_INTERRUPT     (virtio 1.4, 2.7.7)
//   split, EVENT_IDX       used_event behind the available ring
//   packed                 driver event suppression {off_wrap, flags}      (virtio 1.4, 2.8.10)
//
// One bit a queue waits, so used entries of a queue that meet the same read share its answer, and nobody waits for it.
// An event counts if it lies among all entries since the queue's last read.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module used_interrupt (
    input  logic                                   clk,
    input  logic                                   rst,
    input  logic                                   enable,
    input  endpoint_pkg::device_state_t            device,
    input  endpoint_pkg::queue_cfgs_t              queues,
    input  logic [endpoint_pkg::MAX_QUEUES-1:0]    queue_stop,     // no interrupt any more
    output logic [endpoint_pkg::MAX_QUEUES-1:0]    queue_quiet,    // no read out
    input  logic                                   used,           // an entry is used from here on
    input  endpoint_pkg::write_done_t              used_done,
    input  logic [15:0]                            used_place,     // where its queue stands now: see used_ring

    output logic                                   sup_valid,
    input  logic                                   sup_ready,
    output endpoint_pkg::read_req_t                sup,
    stream_if.snk                                  sup_rsp,

    output logic                                   irq_valid,
    input  logic                                   irq_ready,
    output endpoint_pkg::queue_t                   irq_queue,
    output logic                                   suppressed,     // one-cycle pulse
    output logic                                   error_valid,
    input  logic                                   error_ready,
    output endpoint_pkg::error_t                   error
);
    import endpoint_pkg::*;

    localparam int unsigned READS = 4;

    localparam logic [1:0] EVENT_DISABLE = 2'd1;
    localparam logic [1:0] EVENT_DESC = 2'd2;

    // ---- queues that wait for their read, lowest behind the last one first ----
    logic [MAX_QUEUES-1:0]       wait_reg;
    logic [MAX_QUEUES-1:0]       behind_reg;
    logic [MAX_QUEUES-1:0][15:0] place_reg;
    logic [MAX_QUEUES-1:0][15:0] since_reg;     // entries (packed: slots) since the last read
    logic [MAX_QUEUES-1:0]       from;
    queue_t                      queue;
    logic                        issue;
    logic                        flight_room;
    always_comb begin
        from = (wait_reg & behind_reg) != 0 ? wait_reg & behind_reg : wait_reg;
        queue = '0;
        for (int q = int'(MAX_QUEUES) - 1; q >= 0; q--) if (from[q]) queue = queue_t'(q);
        issue = enable && wait_reg != 0 && flight_room && (!sup_valid || sup_ready);
    end

    read_req_t wish;
    always_comb begin
        wish = '{addr: queues[queue].driver, bytes: 10'd2};
        if (device.ring_packed) wish.bytes = 10'd4;
        else if (device.event_idx) wish.addr = queues[queue].driver + 64'd4 + {47'b0, queues[queue].size, 1'b0};
    end

    logic [15:0] step;
    assign step = device.ring_packed ? used_done.slots : 16'd1;

    always_ff @(posedge clk) begin
        if (issue) begin
            wait_reg[queue] <= 1'b0;
            since_reg[queue] <= '0;
            behind_reg <= ~(((MAX_QUEUES)'(2) << queue) - 1'b1);
            sup <= wish;
        end
        if (used) begin
            wait_reg[used_done.queue] <= 1'b1;
            place_reg[used_done.queue] <= used_place;
            since_reg[used_done.queue] <= (issue && queue == used_done.queue ? '0 : since_reg[used_done.queue]) + step;
        end
        if (!sup_valid || sup_ready) sup_valid <= issue;
        for (int unsigned q = 0; q < MAX_QUEUES; q++) begin
            if (queue_stop[q]) begin
                wait_reg[q] <= 1'b0;
                since_reg[q] <= '0;
            end
        end
        if (rst) begin
            wait_reg <= '0;
            behind_reg <= '0;
            since_reg <= '0;
            sup_valid <= 1'b0;
        end
    end

    // ---- reads that are out ----
    typedef struct packed {
        queue_t      q;
        logic [15:0] place;
        logic [15:0] since;
    } flight_t;
    flight_t asked;
    flight_t answered;
    logic    answer;
    logic    room;
    assign asked = '{q: queue, place: place_reg[queue], since: since_reg[queue]};
    assign room = (!irq_valid || irq_ready) && (!error_valid || error_ready);
    assign sup_rsp.ready = room;
    assign answer = sup_rsp.valid && room && sup_rsp.last;
    // verilator lint_off PINCONNECTEMPTY
    word_fifo #(.WIDTH($bits(flight_t)), .DEPTH(READS)) flight (
        .clk, .rst, .in_valid(issue), .in_ready(flight_room), .in_data(asked),
        .out_valid(), .out_ready(answer), .out_data(answered), .count()
    );
    // verilator lint_on PINCONNECTEMPTY

    logic [MAX_QUEUES-1:0][$clog2(READS):0] out_reg;
    always_ff @(posedge clk) begin
        for (int unsigned q = 0; q < MAX_QUEUES; q++) begin
            out_reg[q] <= out_reg[q] + ($clog2(READS) + 1)'(issue && queue == queue_t'(q))
                - ($clog2(READS) + 1)'(answer && answered.q == queue_t'(q));
        end
        if (rst) out_reg <= '0;
    end
    always_comb begin
        for (int unsigned q = 0; q < MAX_QUEUES; q++) begin
            queue_quiet[q] = !wait_reg[q] && out_reg[q] == 0 && !(irq_valid && irq_queue == queue_t'(q));
        end
    end

    // ---- decision ----

    // Whether `wanted` is one of the last `count` places before `place`; all modulo 2^16 (virtio 1.4, 2.7.10).
    function automatic logic among(input logic [15:0] place, input logic [15:0] wanted, input logic [15:0] count);
        return place - wanted - 16'd1 < count;
    endfunction

    logic [15:0] word;
    logic [15:0] event_place;
    logic        failed;
    logic        quiet;
    assign word = sup_rsp.data[15:0];
    always_comb begin
        event_place = word;
        quiet = word[0];                                          // VIRTQ_AVAIL_F_NO_INTERRUPT
        if (device.ring_packed) begin
            // A place of the other round is one of the round before: a slot less than 0.
            event_place = {1'b0, word[14:0]};
            if (word[15] == answered.place[15]) event_place -= queues[answered.q].size;
            quiet = sup_rsp.data[17:16] == EVENT_DISABLE;
            if (device.event_idx && sup_rsp.data[17:16] == EVENT_DESC)
                quiet = !among({1'b0, answered.place[14:0]}, event_place, answered.since);
        end else if (device.event_idx) begin
            quiet = !among(answered.place, event_place, answered.since);
        end
    end
    assign failed = answer && sup_rsp.user[0];
    assign suppressed = answer && !failed && quiet && !queue_stop[answered.q];
    always_ff @(posedge clk) begin
        if (!irq_valid || irq_ready) begin
            irq_valid <= answer && !failed && !quiet && !queue_stop[answered.q];
            irq_queue <= answered.q;
        end
        if (!error_valid || error_ready) begin
            error_valid <= failed;
            error <= '{code: ERR_RING_READ, fatal: 1'b1, queue: answered.q, address: queues[answered.q].driver};
        end
        if (rst) begin
            irq_valid <= 1'b0;
            error_valid <= 1'b0;
        end
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
