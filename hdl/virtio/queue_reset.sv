// The reset of one queue (VIRTIO_F_RING_RESET; virtio 1.4, 2.6.1), of one queue after the other. queue_reset reads 1 from
// the request until nothing of the queue is left and no DMA and no interrupt of it can follow.
//
//   DRAIN    nothing new begins; what has begun goes on to where it may rest: with the engine, as a buffer that waits
//            for a message, or as a used entry that waits for its turn
//   TELL     the engine hears of it, and answers when it has forgotten the queue's requests (AWAIT); replies and jobs
//            that it gave before are taken (SETTLE), and come to their end (REST)
//   DROP     contexts at rest are given back; no entry will be used for them
//   QUIET    reads of the ring and of the driver's wish for interrupts have come back
//   DISABLE  the queue's registers go back to their defaults, and with them its interrupt; one that was on its way has
//            left (MESSAGE)
//   CLEAR    everybody forgets where the queue stood
//
// A device reset ends all this: `flush`.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module queue_reset
    import endpoint_pkg::*;
    import pipeline_pkg::*;
#(
    parameter int unsigned CONTEXTS = 32
) (
    input  logic                       clk,
    input  logic                       flush,
    input  logic [MAX_QUEUES-1:0]      request,          // pulses: 1 was written to queue_reset
    output logic [MAX_QUEUES-1:0]      queue_stop,       // and it reads 1
    output logic [MAX_QUEUES-1:0]      queue_disable,    // one cycle: registers go back to their defaults
    output logic [MAX_QUEUES-1:0]      queue_clear,      // one cycle
    input  logic [MAX_QUEUES-1:0]      queue_quiet,
    input  logic                       message_idle,     // no interrupt message is on its way
    // Where the contexts are.
    input  logic                       start_valid,
    input  chain_start_t               start,
    input  logic [RELEASES-1:0]        release_valid,
    input  write_done_t [RELEASES-1:0] released,
    input  logic [CONTEXTS-1:0]        resting,
    input  logic                       sending_valid,    // the engine has not heard the whole request yet
    input  context_t                   sending,
    input  logic                       skipped_valid,    // a request that the engine will not hear of
    input  context_t                   skipped,
    input  logic                       job_valid,        // a job of the engine begins
    input  queue_t                     job_queue,
    input  logic                       job_end_valid,
    input  context_t                   job_end,
    // The engine.
    output logic                       tell_valid,
    input  logic                       tell_ready,
    output queue_t                     tell_queue,
    input  logic                       told,             // pulse: it has forgotten the queue
    input  logic                       settled,          // no reply and no job stands before the endpoint
    output logic                       drop_valid,
    output write_done_t                drop
);
    localparam int unsigned CW = $clog2(CONTEXTS);
    localparam logic [1:0] KICKS = 2'd3;    // cycles until a doorbell from before DISABLE has come and gone

    typedef enum logic [3:0] { IDLE, DRAIN, TELL, AWAIT, SETTLE, REST, DROP, QUIET, DISABLE, MESSAGE, CLEAR } state_e;
    state_e                state_reg;
    logic [MAX_QUEUES-1:0] resetting_reg;
    queue_t                queue_reg;
    logic [CW-1:0]         at_reg;           // the context that is looked at
    logic [1:0]            wait_reg;

    // ---- who has which context ----

    logic [CONTEXTS-1:0]         out_reg;
    queue_t [CONTEXTS-1:0]       owner_reg;
    logic [CONTEXTS-1:0]         skipped_reg;
    logic [MAX_QUEUES-1:0][7:0]  jobs_reg;

    logic mine;
    logic rests;
    logic last;
    assign mine = out_reg[at_reg] && owner_reg[at_reg] == queue_reg;
    assign rests = (resting[at_reg] || skipped_reg[at_reg]) && !(sending_valid && sending == context_t'(at_reg));
    assign last = at_reg == CW'(CONTEXTS - 1);

    always_ff @(posedge clk) begin
        for (int unsigned r = 0; r < RELEASES; r++) begin
            if (release_valid[r]) begin
                out_reg[released[r].ctx[CW-1:0]] <= 1'b0;
                skipped_reg[released[r].ctx[CW-1:0]] <= 1'b0;
            end
        end
        if (skipped_valid) skipped_reg[skipped[CW-1:0]] <= 1'b1;
        if (start_valid) begin
            out_reg[start.ctx[CW-1:0]] <= 1'b1;
            owner_reg[start.ctx[CW-1:0]] <= start.queue;
        end
        for (int unsigned q = 0; q < MAX_QUEUES; q++) begin
            jobs_reg[q] <= jobs_reg[q] + 8'(job_valid && job_queue == queue_t'(q))
                - 8'(job_end_valid && owner_reg[job_end[CW-1:0]] == queue_t'(q));
        end
        if (flush) begin
            out_reg <= '0;
            skipped_reg <= '0;
            jobs_reg <= '0;
        end
    end

    // ---- one queue after the other ----

    queue_t next;
    always_comb begin
        // The first behind the last one.
        next = '0;
        for (int q = int'(MAX_QUEUES) - 1; q >= 0; q--) if (resetting_reg[q]) next = queue_t'(q);
        for (int q = int'(MAX_QUEUES) - 1; q >= 0; q--) begin
            if (resetting_reg[q] && q > int'(queue_reg)) next = queue_t'(q);
        end
    end

    assign queue_stop = resetting_reg;
    assign tell_valid = state_reg == TELL;
    assign tell_queue = queue_reg;
    assign drop_valid = state_reg == DROP && mine;
    always_comb begin
        drop = '0;
        drop.lane = context_lane(32'(at_reg), CONTEXTS);
        drop.queue = queue_reg;
        drop.ctx = context_t'(at_reg);
        for (int unsigned q = 0; q < MAX_QUEUES; q++) begin
            queue_disable[q] = state_reg == DISABLE && queue_reg == queue_t'(q);
            queue_clear[q] = state_reg == CLEAR && queue_reg == queue_t'(q);
        end
    end

    always_ff @(posedge clk) begin
        at_reg <= '0;
        wait_reg <= '0;
        case (state_reg)
            IDLE: begin
                if (resetting_reg != 0) begin
                    queue_reg <= next;
                    state_reg <= DRAIN;
                end
            end
            DRAIN: begin
                at_reg <= at_reg + CW'(!mine || rests);
                if (last && (!mine || rests)) state_reg <= TELL;
            end
            TELL: if (tell_ready) state_reg <= AWAIT;
            AWAIT: if (told) state_reg <= SETTLE;
            SETTLE: if (settled) state_reg <= REST;
            REST: begin
                at_reg <= at_reg + CW'(!mine || rests);
                if (last && (!mine || rests) && jobs_reg[queue_reg] == 0) begin
                    at_reg <= '0;
                    state_reg <= DROP;
                end
            end
            DROP: begin
                at_reg <= at_reg + 1'b1;
                if (last) begin
                    at_reg <= '0;
                    state_reg <= QUIET;
                end
            end
            // Contexts are given back a little later; a chain that was on its way into one comes to rest first.
            QUIET: begin
                wait_reg <= wait_reg + 1'b1;
                if (wait_reg == KICKS) state_reg <= queue_quiet[queue_reg] ? DISABLE : REST;
            end
            DISABLE: state_reg <= MESSAGE;
            MESSAGE: begin
                wait_reg <= wait_reg + 2'(wait_reg != KICKS);
                if (wait_reg == KICKS && message_idle) state_reg <= CLEAR;
            end
            default: begin
                resetting_reg[queue_reg] <= 1'b0;
                state_reg <= IDLE;
            end
        endcase
        for (int unsigned q = 0; q < MAX_QUEUES; q++) if (request[q]) resetting_reg[q] <= 1'b1;
        if (flush) begin
            resetting_reg <= '0;
            queue_reg <= '0;
            state_reg <= IDLE;
        end
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
