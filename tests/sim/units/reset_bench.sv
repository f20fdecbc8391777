// queue_reset with plain ports. What it drops is released in the same cycle, as in the endpoint.
module reset_bench
    import endpoint_pkg::*, pipeline_pkg::*;
#(
    parameter int unsigned CONTEXTS = 32
) (
    input  logic                  clk,
    input  logic                  rst,
    input  logic [MAX_QUEUES-1:0] request,
    output logic [MAX_QUEUES-1:0] queue_stop,
    output logic [MAX_QUEUES-1:0] queue_disable,
    output logic [MAX_QUEUES-1:0] queue_clear,
    input  logic [MAX_QUEUES-1:0] queue_quiet,
    input  logic                  message_idle,
    input  logic                  start_valid,
    input  queue_t                start_queue,
    input  context_t              start_ctx,
    input  logic                  used_valid,
    input  context_t              used_ctx,
    input  logic                  fetch_valid,
    input  context_t              fetch_ctx,
    input  logic [CONTEXTS-1:0]   resting,
    input  logic                  sending_valid,
    input  context_t              sending,
    input  logic                  skipped_valid,
    input  context_t              skipped,
    input  logic                  job_valid,
    input  queue_t                job_queue,
    input  logic                  job_end_valid,
    input  context_t              job_end,
    output logic                  tell_valid,
    input  logic                  tell_ready,
    output queue_t                tell_queue,
    input  logic                  told,
    input  logic                  settled,
    output logic                  drop_valid,
    output context_t              drop_ctx,
    output queue_t                drop_queue,
    output logic [1:0]            drop_lane
);
    chain_start_t               start;
    logic [RELEASES-1:0]        release_valid;
    write_done_t [RELEASES-1:0] released;
    write_done_t                drop;
    always_comb begin
        start = '0;
        start.ctx = start_ctx;
        start.queue = start_queue;
        release_valid[RELEASE_USED] = used_valid;
        release_valid[RELEASE_DROPPED] = drop_valid;
        release_valid[RELEASE_FETCH] = fetch_valid;
        released = '0;
        released[RELEASE_USED].ctx = used_ctx;
        released[RELEASE_DROPPED] = drop;
        released[RELEASE_FETCH].ctx = fetch_ctx;
        drop_ctx = drop.ctx;
        drop_queue = drop.queue;
        drop_lane = drop.lane;
    end
    queue_reset #(.CONTEXTS(CONTEXTS)) unit (
        .clk, .flush(rst), .request, .queue_stop, .queue_disable, .queue_clear, .queue_quiet, .message_idle,
        .start_valid, .start, .release_valid, .released, .resting, .sending_valid, .sending, .skipped_valid,
        .skipped, .job_valid, .job_queue, .job_end_valid, .job_end, .tell_valid, .tell_ready, .tell_queue, .told,
        .settled, .drop_valid, .drop
    );
endmodule
