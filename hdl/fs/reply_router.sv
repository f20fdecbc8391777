// Takes jobs and replies from the engine, checks them against the context that they name, and sends them on: replies
// of the high priority lane without storage bytes to their own writer, everything else to the data mover, in the order
// of arrival. Chains whose header could not be had come in beside them, to be used with length 0.
//
// A message of an older epoch is dropped and counted; one that began before a device reset is dropped to its end.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module reply_router
    import endpoint_pkg::*;
    import pipeline_pkg::*;
    import fuse_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned CONTEXTS = 32
) (
    input  logic              clk,
    input  logic              rst,
    input  logic              flush,
    input  epoch_t            epoch,
    input  logic              sent_valid,
    input  context_t          sent,
    input  logic              sent_init,
    input  logic              unread_valid,
    output logic              unread_ready,
    input  context_t          unread,
    stream_if.snk             engine_job,
    stream_if.snk             engine_reply,
    output context_t          look_ctx,
    input  chain_info_t       look_info,
    output logic              mover_valid,
    input  logic              mover_ready,
    output mover_cmd_t        mover,
    output logic              mover_word_valid,
    input  logic              mover_word_ready,
    output logic              hi_valid,
    input  logic              hi_ready,
    output scatter_t          hi,
    output logic              hi_word_valid,
    input  logic              hi_word_ready,
    output logic [DATA_W-1:0] word,
    output logic              cancelled_valid,
    input  logic              cancelled_ready,
    output job_end_t          cancelled,
    input  logic              drop_valid,      // the engine has forgotten this context
    input  context_t          drop,
    output logic [CONTEXTS-1:0] with_engine,
    output logic              settled,         // nothing is here, nothing waits to be taken
    output logic              job_valid,       // one cycle: a job goes to the mover
    output queue_t            job_queue,
    output logic              replied_valid,   // one cycle: the used entry is on its way
    output context_t          replied,
    output logic              replied_init,    // a FUSE_INIT was answered without error
    output logic              error_valid,
    input  logic              error_ready,
    output error_t            error,
    output count_t            count
);
    typedef enum logic [2:0] { PICK, CHECK, JUDGE, REFUSE, CANCEL, PASS, PAYLOAD } state_e;
    typedef enum logic [1:0] { UNREAD, JOB, REPLY } source_e;

    state_e        state_reg;
    source_e       source_reg;
    mover_job_t    job_reg;
    engine_reply_t reply_reg;
    logic [31:0]   status_reg;         // fuse_out_header.error of the reply
    logic          status_known_reg;
    context_t      ctx_reg;
    logic          ctx_good_reg;
    logic          stale_reg;
    chain_info_t   info_reg;
    error_code_e   code_reg;
    logic          none_reg;           // used with length 0
    logic          to_hi_reg;
    logic          drop_reg;           // payload leads nowhere

    logic [CONTEXTS-1:0] with_engine_reg;
    logic [CONTEXTS-1:0] is_init_reg;
    localparam int unsigned CW = $clog2(CONTEXTS);

    out_header_start_t start;
    assign start = engine_reply.data[63:0];
    assign look_ctx = ctx_reg;

    // Interfaces carry plain vectors.
    mover_job_t    job_user;
    engine_reply_t reply_user;
    assign job_user = mover_job_t'(engine_job.user);
    assign reply_user = engine_reply_t'(engine_reply.user);

    // ---- what a message asks of its chain ----

    logic [33:0] wanted;
    logic [31:0] part;
    assign part = source_reg == JOB && job_reg.dir == 0 ? info_reg.chain.readable : info_reg.chain.writable;
    assign wanted = source_reg == JOB ? 34'(job_reg.offset) + 34'(job_reg.length) :
        34'(reply_reg.immediate) + 34'(reply_reg.storage_length);

    logic has_payload;
    assign has_payload = source_reg == REPLY;

    // ---- where it goes ----

    logic  sends;
    logic  passed;
    assign sends = state_reg == PASS;
    assign mover_valid = sends && !to_hi_reg;
    assign hi_valid = sends && to_hi_reg;
    assign passed = sends && (to_hi_reg ? hi_ready : mover_ready);

    always_comb begin
        mover = '0;
        mover.part.ctx = ctx_reg;
        mover.part.lane = info_reg.chain.lane;
        mover.part.queue = info_reg.chain.queue;
        mover.part.id = info_reg.chain.id;
        mover.part.slots = info_reg.chain.slots;
        if (source_reg == JOB) begin
            mover.gather = job_reg.dir == 0;
            mover.part.offset = 33'(job_reg.offset) + (job_reg.dir == 0 ? '0 : 33'(info_reg.chain.readable));
            mover.part.length = job_reg.length;
            mover.address = job_reg.address;
            mover.storage_length = job_reg.length;
        end else begin
            mover.part.used = 1'b1;
            mover.part.offset = 33'(info_reg.chain.readable);
            if (!none_reg) begin
                mover.part.length = wanted[31:0];
                mover.part.used_len = wanted[31:0];
                mover.immediate = reply_reg.immediate;
                mover.address = reply_reg.address;
                mover.storage_length = reply_reg.storage_length;
            end
        end
        hi = mover.part;
    end

    assign word = engine_reply.data;
    assign mover_word_valid = state_reg == PAYLOAD && engine_reply.valid && !drop_reg && !to_hi_reg;
    assign hi_word_valid = state_reg == PAYLOAD && engine_reply.valid && !drop_reg && to_hi_reg;
    assign engine_reply.ready = state_reg == PAYLOAD &&
        (drop_reg || (to_hi_reg ? hi_word_ready : mover_word_ready));
    assign engine_job.ready = state_reg == PICK && !unread_valid && !flush;
    assign unread_ready = state_reg == PICK && !flush;

    assign error_valid = state_reg == REFUSE;
    assign error = make_error(code_reg, 1'b0, ctx_good_reg ? info_reg.chain.queue : '0, 64'(ctx_reg));
    assign cancelled_valid = state_reg == CANCEL;
    assign cancelled.ctx = ctx_reg;
    assign cancelled.result = JOB_CANCELLED;

    assign with_engine = with_engine_reg;
    assign settled = state_reg == PICK && !engine_job.valid && !engine_reply.valid;
    assign job_valid = passed && source_reg == JOB;
    assign job_queue = info_reg.chain.queue;
    assign replied_valid = passed && source_reg != JOB;
    assign replied = ctx_reg;
    assign replied_init = !none_reg && is_init_reg[ctx_reg[CW-1:0]] && source_reg == REPLY &&
        (!status_known_reg || status_reg == 0);

    always_comb begin
        count = '0;
        count[COUNT_REPLIES] = replied_valid && !none_reg;
        count[COUNT_NO_REPLIES] = replied_valid && none_reg;
        count[COUNT_STALE_EPOCH] = state_reg == JUDGE && stale_reg;
    end

    always_ff @(posedge clk) begin
        if (flush) begin
            with_engine_reg <= '0;
            is_init_reg <= '0;
        end else begin
            if (sent_valid) begin
                with_engine_reg[sent[CW-1:0]] <= 1'b1;
                is_init_reg[sent[CW-1:0]] <= sent_init;
            end
            if (replied_valid && source_reg == REPLY) with_engine_reg[ctx_reg[CW-1:0]] <= 1'b0;
            if (drop_valid) with_engine_reg[drop[CW-1:0]] <= 1'b0;
        end
    end

    always_ff @(posedge clk) begin
        case (state_reg)
            PICK: begin
                job_reg <= job_user;
                reply_reg <= reply_user;
                status_reg <= start.error;
                status_known_reg <= reply_user.immediate >= FUSE_OUT_HEADER_BYTES;
                none_reg <= 1'b0;
                drop_reg <= 1'b0;
                to_hi_reg <= 1'b0;
                stale_reg <= 1'b0;
                ctx_good_reg <= 1'b1;
                if (unread_valid) begin
                    source_reg <= UNREAD;
                    ctx_reg <= unread;
                    state_reg <= CHECK;
                end else if (engine_job.valid) begin
                    source_reg <= JOB;
                    ctx_reg <= context_t'(job_user.ctx);
                    ctx_good_reg <= 32'(job_user.ctx) < CONTEXTS && with_engine_reg[job_user.ctx[CW-1:0]];
                    stale_reg <= job_user.epoch != 8'(epoch);
                    state_reg <= CHECK;
                end else if (engine_reply.valid) begin
                    source_reg <= REPLY;
                    ctx_reg <= context_t'(reply_user.ctx);
                    ctx_good_reg <= 32'(reply_user.ctx) < CONTEXTS && with_engine_reg[reply_user.ctx[CW-1:0]];
                    stale_reg <= reply_user.epoch != 8'(epoch);
                    state_reg <= CHECK;
                end
            end
            CHECK: begin
                info_reg <= look_info;
                state_reg <= JUDGE;
            end
            JUDGE: begin
                to_hi_reg <= info_reg.chain.lane == LANE_HI &&
                    (source_reg == UNREAD || (source_reg == REPLY && reply_reg.storage_length == 0));
                if (source_reg == REPLY && (reply_reg.immediate == 0 || reply_reg.kind != 0)) drop_reg <= 1'b1;
                if (source_reg == UNREAD || (source_reg == REPLY && reply_reg.kind != 0)) none_reg <= 1'b1;
                if (stale_reg) begin
                    drop_reg <= 1'b1;
                    state_reg <= has_payload ? PAYLOAD : PICK;
                end else if (!ctx_good_reg) begin
                    code_reg <= ERR_ENGINE_CONTEXT;
                    drop_reg <= 1'b1;
                    state_reg <= REFUSE;
                end else if (source_reg != UNREAD && !(source_reg == REPLY && reply_reg.kind != 0) &&
                             wanted > 34'(part)) begin
                    code_reg <= ERR_ENGINE_LENGTH;
                    drop_reg <= 1'b1;
                    none_reg <= 1'b1;
                    state_reg <= REFUSE;
                end else begin
                    state_reg <= PASS;
                end
            end
            REFUSE: if (error_ready) begin
                state_reg <= source_reg == JOB ? CANCEL : ctx_good_reg ? PASS : PAYLOAD;
            end
            CANCEL: if (cancelled_ready) state_reg <= PICK;
            PASS: if (passed) state_reg <= has_payload ? PAYLOAD : PICK;
            default: if (engine_reply.valid && engine_reply.ready && engine_reply.last) state_reg <= PICK;
        endcase
        if (flush && state_reg != PAYLOAD) begin
            // A reply whose first beat was not taken yet is judged again: by then it is stale.
            state_reg <= PICK;
        end else if (flush) begin
            drop_reg <= 1'b1;
        end
        if (rst) state_reg <= PICK;
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
