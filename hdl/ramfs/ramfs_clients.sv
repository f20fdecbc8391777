// The clients of the file system in hardware: the driver, whose streams pass through, and the DPU, whose requests come
// from its mailbox one at a time. What the data mover does for the driver is done for the DPU here: data of a request
// goes from the mailbox into storage, data of a reply from storage into the mailbox.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module ramfs_clients
    import endpoint_pkg::*, dpu_pkg::*;
#(
    parameter int unsigned DATA_W = 256
) (
    input  logic         clk,
    input  logic         rst,
    dpu_client_if.client dpu,
    // A request of the DPU waits here, where it is in nobody's way, until it may begin.
    output logic         dpu_busy,              // from when one comes until it is answered
    output logic [31:0]  dpu_opcode,
    input  logic         dpu_may_begin,
    // The driver.
    stream_if.snk        host_request,
    stream_if.src        host_job,
    stream_if.snk        host_done,
    stream_if.src        host_reply,
    storage_if.slv       host_storage,
    // The file system.
    stream_if.src        engine_request,
    stream_if.snk        engine_job,
    stream_if.src        engine_done,
    stream_if.snk        engine_reply,
    storage_if.mst       storage
);
    localparam int unsigned BEAT = DATA_W / 8;
    localparam int unsigned LANE_W = $clog2(BEAT);
    localparam int unsigned ADDR_W = $clog2(REQUEST_BYTES_MAX * 8 / DATA_W);
    localparam int unsigned COUNT_W = $clog2(REQUEST_BYTES_MAX) + 1;
    localparam int unsigned HEAD_BYTES = 1024;
    typedef logic [LANE_W-1:0] lane_t;
    typedef logic [COUNT_W-1:0] bytes_t;

    typedef enum logic [3:0] {
        IDLE, READ, SEND,               // the head of the request, word by word
        WAIT,                           // for a job or the reply
        TAKE, STORE, STORED,            // a job: from the mailbox, into storage, its end is told
        REPLY, FETCH, FETCHED, PUT,     // the reply: its immediate bytes; from storage, into the mailbox
        DONE
    } state_e;
    state_e state_reg;

    // ---- requests: whole messages of the one or the other ----

    bytes_t          at_reg;            // in the head
    bytes_t          head_bytes;
    bytes_t          head_left;
    engine_request_t user;
    logic            locked_reg;        // in the middle of a message
    logic            own_reg;
    logic            own;

    assign head_bytes = dpu.bytes > bytes_t'(HEAD_BYTES) ? bytes_t'(HEAD_BYTES) : dpu.bytes;
    assign head_left = head_bytes - at_reg;
    always_comb begin
        user = '0;
        user.ctx = DPU_CONTEXT;
        user.lane = ENGINE_LANE_DPU;
        user.readable = 32'(dpu.bytes);
        user.writable = REQUEST_BYTES_MAX;
        user.head_bytes = 16'(head_bytes);
    end

    assign own = locked_reg ? own_reg : state_reg == SEND;
    assign engine_request.valid = own ? state_reg == SEND : host_request.valid;
    assign engine_request.last = own ? head_left <= bytes_t'(BEAT) : host_request.last;
    assign engine_request.data = own ? dpu.word : host_request.data;
    assign engine_request.bytes = !own ? host_request.bytes :
        head_left < bytes_t'(BEAT) ? (LANE_W + 1)'(head_left) : (LANE_W + 1)'(BEAT);
    assign engine_request.user = own ? user : host_request.user;
    assign host_request.ready = !own && engine_request.ready;

    always_ff @(posedge clk) begin
        if (engine_request.valid) begin
            locked_reg <= !(engine_request.ready && engine_request.last);
            own_reg <= own;
        end
        if (rst) locked_reg <= 1'b0;
    end

    assign dpu_busy = dpu.valid;
    assign dpu_opcode = dpu.opcode;

    // ---- jobs and their ends ----

    mover_job_t  job;
    mover_done_t job_end;
    logic        own_job;
    assign job = mover_job_t'(engine_job.user);
    assign own_job = job.ctx == DPU_CONTEXT;
    assign host_job.valid = engine_job.valid && !own_job;
    assign host_job.last = engine_job.last;
    assign host_job.data = engine_job.data;
    assign host_job.bytes = engine_job.bytes;
    assign host_job.user = engine_job.user;
    assign engine_job.ready = own_job ? state_reg == WAIT : host_job.ready;

    always_comb begin
        job_end = '0;
        job_end.ctx = DPU_CONTEXT;
        job_end.result = 8'(pipeline_pkg::JOB_OK);
    end
    assign engine_done.valid = state_reg == STORED || host_done.valid;
    assign engine_done.last = 1'b1;
    assign engine_done.data = '0;
    assign engine_done.bytes = '0;
    assign engine_done.user = state_reg == STORED ? job_end : host_done.user;
    assign host_done.ready = state_reg != STORED && engine_done.ready;

    // ---- replies ----

    engine_reply_t reply;
    engine_reply_t reply_reg;
    logic          begun_reg;           // in the middle of a message
    logic          own_reply_reg;
    logic          own_reply;
    logic          own_beat;
    assign reply = engine_reply_t'(engine_reply.user);
    assign own_reply = begun_reg ? own_reply_reg : reply.ctx == DPU_CONTEXT;
    assign host_reply.valid = engine_reply.valid && !own_reply;
    assign host_reply.last = engine_reply.last;
    assign host_reply.data = engine_reply.data;
    assign host_reply.bytes = engine_reply.bytes;
    assign host_reply.user = engine_reply.user;
    assign engine_reply.ready = own_reply ? state_reg == WAIT || state_reg == REPLY : host_reply.ready;
    assign own_beat = engine_reply.valid && engine_reply.ready && own_reply;

    always_ff @(posedge clk) begin
        if (engine_reply.valid && engine_reply.ready) begin
            begun_reg <= !engine_reply.last;
            own_reply_reg <= own_reply;
            if (!begun_reg && own_reply) reply_reg <= reply;
        end
        if (rst) begun_reg <= 1'b0;
    end

    // ---- bytes: from a position to another one, as many at a time as lie in one word at both ends ----

    logic [31:0]       from_reg, to_reg, left_reg;
    lane_t             from_lane, to_lane;
    logic [31:0]       from_room, to_room, count;
    logic [DATA_W-1:0] fetched_reg, turned, placed;
    logic [BEAT-1:0]   strobes;
    logic              storing, putting, advance;

    assign storing = state_reg == STORE;
    assign putting = state_reg == PUT;
    assign from_lane = from_reg[LANE_W-1:0];
    assign to_lane = to_reg[LANE_W-1:0];
    assign from_room = BEAT - 32'(from_lane);
    assign to_room = BEAT - 32'(to_lane);
    always_comb begin
        count = from_room < to_room ? from_room : to_room;
        if (left_reg < count) count = left_reg;
        strobes = '0;
        if (storing || putting)
            for (int unsigned i = 0; i < BEAT; i++) strobes[i] = i >= 32'(to_lane) && i < 32'(to_lane) + count;
    end

    byte_rotate #(.DATA_W(DATA_W)) turn (
        .enable(storing || putting), .amount(to_lane - from_lane), .in(putting ? fetched_reg : dpu.word), .out(turned)
    );

    storage_if #(.DATA_W(DATA_W)) own_storage ();
    assign own_storage.valid = storing || state_reg == FETCH;
    assign own_storage.write = storing;
    assign own_storage.addr = storing ? to_reg & ~32'(BEAT - 1) : from_reg & ~32'(BEAT - 1);
    assign own_storage.wdata = turned;
    assign own_storage.wstrb = strobes;
    storage_join storage_join (.clk, .rst, .first(own_storage), .second(host_storage), .storage);

    assign dpu.addr = state_reg == TAKE || storing ? from_reg[LANE_W +: ADDR_W] : at_reg[LANE_W +: ADDR_W];
    assign advance = storing ? own_storage.ready : putting;

    // The reply's word that grows: bytes that are not there yet are zeros.
    logic [DATA_W-1:0] word_reg;
    always_comb begin
        placed = '0;
        if (own_beat || putting) begin
            placed = own_beat ? engine_reply.data : turned;
            for (int unsigned i = 0; i < BEAT; i++)
                if (own_beat ? i >= 32'(engine_reply.bytes) : !strobes[i]) placed[8 * i +: 8] = '0;
            if (putting && to_lane != 0) placed |= word_reg;
        end
    end
    assign dpu.reply_write = own_beat || putting;
    assign dpu.reply_addr = to_reg[LANE_W +: ADDR_W];
    assign dpu.reply_word = placed;
    assign dpu.reply_bytes = to_reg[COUNT_W-1:0];
    assign dpu.done = state_reg == DONE;

    always_ff @(posedge clk) begin
        if (own_storage.rvalid) fetched_reg <= own_storage.rdata;
        if (dpu.reply_write) word_reg <= placed;
        case (state_reg)
            IDLE: begin
                at_reg <= '0;
                to_reg <= '0;
                if (dpu.valid && dpu_may_begin) state_reg <= READ;
            end
            READ: state_reg <= SEND;
            SEND: if (own && engine_request.ready) begin
                at_reg <= at_reg + bytes_t'(BEAT);
                state_reg <= engine_request.last ? WAIT : READ;
            end
            WAIT: begin
                if (engine_job.valid && own_job) begin
                    from_reg <= job.offset;
                    to_reg <= job.address;
                    left_reg <= job.length;
                    state_reg <= TAKE;
                end
                if (own_beat) state_reg <= REPLY;
            end
            TAKE: state_reg <= STORE;
            STORE: if (advance) state_reg <= left_reg == count ? STORED : TAKE;
            STORED: if (engine_done.ready) begin
                to_reg <= '0;
                state_reg <= WAIT;
            end
            FETCH: if (own_storage.ready) state_reg <= FETCHED;
            FETCHED: if (own_storage.rvalid) state_reg <= PUT;
            PUT: begin
                if (left_reg == count) state_reg <= DONE;
                else if (count == from_room) state_reg <= FETCH;
            end
            DONE: state_reg <= IDLE;
            default: state_reg <= REPLY;
        endcase
        if (advance) begin
            from_reg <= from_reg + count;
            to_reg <= to_reg + count;
            left_reg <= left_reg - count;
        end
        if (own_beat) begin
            to_reg <= to_reg + 32'(engine_reply.bytes);
            if (engine_reply.last) begin
                from_reg <= begun_reg ? reply_reg.address : reply.address;
                left_reg <= begun_reg ? reply_reg.storage_length : reply.storage_length;
                state_reg <= (begun_reg ? reply_reg.storage_length : reply.storage_length) != 0 ? FETCH : DONE;
            end
        end
        if (rst) state_reg <= IDLE;
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
