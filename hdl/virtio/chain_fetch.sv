// Walks chains (virtio 1.4, 2.7.5 and 2.8.6): each in full before it is executed, and again, a window at a time, for a
// cursor that moves the data of a long one. A walk in progress is a record that goes round
//   work queue -> read of some descriptors -> walk over them -> work queue
// so many chains wait for the host at once. How one descriptor leads to the next is the business of chain_link_split
// and chain_link_packed. The first descriptor of a packed ring's chain was read with the flag that made it available;
// the others are read by requests issued after that.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module chain_fetch
    import endpoint_pkg::*;
    import pipeline_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned CONTEXTS = 32
) (
    input  logic                     clk,
    input  logic                     flush,
    input  queue_cfgs_t              queues,
    input  device_state_t            device,
    input  logic [MAX_QUEUES-1:0]    queue_stop,        // give the context of a chain back instead
    input  logic                     start_valid,
    output logic                     start_ready,
    input  chain_start_t             start,
    input  logic [CURSORS-1:0]       refetch_valid,
    output logic [CURSORS-1:0]       refetch_ready,
    input  position_t [CURSORS-1:0]  refetch,
    output logic [CURSORS-1:0]       refetched_valid,   // one cycle; none after an error
    output refetch_t                 refetched,
    output logic                     req_valid,
    input  logic                     req_ready,
    output read_req_t                req,
    stream_if.snk                    rsp,
    output logic                     segment_valid,
    output slot_t                    segment_slot,
    output logic [3:0]               segment_index,
    output segment_t                 segment,
    output logic                     resume_valid,
    output context_t                 resume_ctx,
    output position_t                resume,
    output logic                     info_valid,
    output chain_info_t              info,
    output logic                     walked_valid,      // one cycle, always taken
    output walked_t                  walked,
    output logic                     release_valid,
    output write_done_t              released,
    output logic                     error_valid,
    input  logic                     error_ready,
    output error_t                   error
);
    localparam int unsigned LANE_COUNT = DATA_W / 128;   // descriptors a beat
    localparam int unsigned LANE_W = LANE_COUNT == 1 ? 1 : $clog2(LANE_COUNT);
    localparam logic [16:0] SPLIT_BLOCK = 17'd4;
    localparam logic [16:0] PACKED_BLOCK = 17'd8;
    localparam logic [16:0] TABLE_BLOCK = 17'd16;

    // ---- the work queue: walks that go on, then cursors, then new chains ----

    walk_t walk_reg;
    walk_t first;              // of a new chain
    logic  goes_on;
    logic  idle;
    logic  work_in_valid;
    logic  work_in_ready;
    walk_t work_in;
    logic  work_valid;
    logic  work_ready;
    walk_t work;
    logic  refetch_taken;

    always_comb begin
        first = '0;
        first.slot = slot_t'(start.ctx);
        first.lane = start.lane;
        first.id = start.head;
        first.room = start.room;
        first.position.queue = start.queue;
        first.position.base = queues[start.queue].desc;
        first.position.bound = {1'b0, queues[start.queue].size};
        first.position.index = start.head;
    end

    always_comb begin
        work_in = walk_reg;
        work_in_valid = goes_on;
        start_ready = device.ring_packed && idle;
        refetch_ready = '0;
        refetch_taken = 1'b0;
        if (!goes_on) begin
            for (int c = 0; c < int'(CURSORS); c++) begin
                if (refetch_valid[c] && !refetch_taken) begin
                    refetch_taken = 1'b1;
                    refetch_ready[c] = work_in_ready;
                    work_in = '0;
                    work_in.slot = slot_t'(int'(CONTEXTS) + c);
                    work_in.again = 1'b1;
                    work_in.position = refetch[c];
                    work_in_valid = 1'b1;
                end
            end
            if (!refetch_taken && start_valid && !device.ring_packed) begin
                work_in = first;
                work_in_valid = 1'b1;
                start_ready = work_in_ready;
            end
        end
    end

    // Deeper than contexts and cursors together: a walk that goes on always finds room.
    sync_fifo #(.WIDTH($bits(walk_t)), .DEPTH(128)) work_fifo (
        .clk, .rst(flush),
        .in_valid(work_in_valid), .in_ready(work_in_ready), .in_data(work_in),
        .out_valid(work_valid), .out_ready(work_ready), .out_data(work)
    );

    // ---- ask for the next descriptors ----

    typedef struct packed {
        walk_t       walk;
        logic [4:0]  count;
    } flight_t;
    flight_t     flight;
    logic        flight_valid;
    logic        flight_ready;
    logic        flight_in_ready;
    logic [16:0] block;

    always_comb begin
        block = work.position.bound - 17'(work.position.index);
        if (work.position.indirect) begin
            if (block > TABLE_BLOCK) block = TABLE_BLOCK;
        end else if (device.ring_packed) begin
            if (block > PACKED_BLOCK) block = PACKED_BLOCK;
        end else if (block > SPLIT_BLOCK) begin
            block = SPLIT_BLOCK;
        end
    end

    assign req_valid = work_valid && flight_in_ready;
    assign work_ready = req_ready && flight_in_ready;
    assign req.addr = work.position.base + {44'd0, work.position.index, 4'd0};
    assign req.bytes = {block[5:0], 4'd0};

    sync_fifo #(.WIDTH($bits(flight_t)), .DEPTH(32)) flight_fifo (
        .clk, .rst(flush),
        .in_valid(req_valid && req_ready), .in_ready(flight_in_ready), .in_data({work, block[4:0]}),
        .out_valid(flight_valid), .out_ready(flight_ready), .out_data(flight)
    );

    // ---- walk over the descriptors that came back, one a cycle ----

    typedef enum logic [2:0] { LOAD, FIRST, WALK, FINISH, FAIL } state_e;
    state_e            state_reg;
    logic [15:0]       at_reg;        // index of the descriptor at hand
    logic [4:0]        left_reg;
    logic [LANE_W-1:0] lane_reg;
    logic              leave_reg;     // the rest of this block is of no use
    logic              ended_reg;     // chain ended, or the cursor's window is full
    error_code_e       code_reg;
    logic [127:0]      first_reg;     // the first descriptor of a packed ring's chain

    logic [127:0] came;
    logic [127:0] descriptor;
    logic         came_bad;
    if (LANE_COUNT == 1) begin : gen_narrow
        assign came = rsp.data[127:0];
    end else begin : gen_wide
        assign came = rsp.data[128*lane_reg +: 128];
    end
    assign descriptor = state_reg == FIRST ? first_reg : came;
    assign came_bad = state_reg == WALK && rsp.user[0];

    logic step;
    logic used;
    logic beat_end;
    assign step = state_reg == FIRST || (state_reg == WALK && rsp.valid);
    assign used = step && !leave_reg && at_reg == walk_reg.position.index;
    assign beat_end = lane_reg == LANE_W'(LANE_COUNT - 1) || left_reg == 1;
    assign rsp.ready = state_reg == WALK && step && beat_end;
    // Nobody is kept waiting for a read that comes behind one that he must take first.
    assign idle = state_reg == LOAD;
    assign flight_ready = idle && rsp.valid && !(start_valid && device.ring_packed);

    chain_step_t made;         // what the descriptor makes of the walk

    chain_step chain_step (.queues, .device, .walk(walk_reg), .at(at_reg), .descriptor, .made);

    assign segment_valid = used && made.store;
    assign segment_slot = walk_reg.slot;
    assign segment_index = walk_reg.stored[3:0];
    assign segment.addr = made.addr;
    assign segment.len = made.len;
    assign segment.write = made.write;
    assign segment.last = !made.goes_on;
    assign resume_valid = used && made.fills && !walk_reg.again;
    assign resume_ctx = context_t'(walk_reg.slot);
    assign resume = made.walk.position;

    logic finish;
    logic stopped;
    assign stopped = queue_stop[walk_reg.position.queue] && !walk_reg.again;
    assign finish = state_reg == FINISH && !stopped;
    assign goes_on = finish && !ended_reg;
    assign info_valid = finish && ended_reg && !walk_reg.again;
    assign release_valid = !walk_reg.again &&
        (state_reg == FINISH ? stopped : state_reg == FAIL && (stopped || error_ready));
    assign released.ctx = context_t'(walk_reg.slot);
    assign released.queue = walk_reg.position.queue;
    assign released.lane = walk_reg.lane;
    assign released.slots = '0;    // it was not walked whole: the queue is to be cleared, or its ring is broken
    assign info.chain.ctx = context_t'(walk_reg.slot);
    assign info.chain.queue = walk_reg.position.queue;
    assign info.chain.lane = walk_reg.lane;
    assign info.chain.id = walk_reg.id;
    assign info.chain.slots = device.ring_packed && !walk_reg.position.indirect ? walk_reg.position.count : 16'd1;
    assign info.chain.readable = walk_reg.readable;
    assign info.chain.writable = walk_reg.writable;
    assign info.segments = walk_reg.stored;
    assign info.more = walk_reg.more;
    assign refetched.position = walk_reg.position;
    assign refetched.segments = walk_reg.stored;
    assign refetched.more = walk_reg.more;
    assign error_valid = state_reg == FAIL && !stopped;
    assign error = make_error(code_reg, 1'b1, walk_reg.position.queue, walk_reg.position.base +
                              {44'd0, at_reg, 4'd0});

    always_comb begin
        refetched_valid = '0;
        for (int c = 0; c < int'(CURSORS); c++) begin
            refetched_valid[c] = finish && ended_reg && walk_reg.again &&
                walk_reg.slot == slot_t'(int'(CONTEXTS) + c);
        end
    end

    // One cycle after the information was written it can be looked up.
    always_ff @(posedge clk) begin
        if (flush) begin
            walked_valid <= 1'b0;
        end else begin
            walked_valid <= info_valid;
            walked.ctx <= info.chain.ctx;
            walked.lane <= info.chain.lane;
        end
    end

    always_ff @(posedge clk) begin
        if (flush) begin
            state_reg <= LOAD;
        end else begin
            case (state_reg)
                LOAD: begin
                    lane_reg <= '0;
                    leave_reg <= 1'b0;
                    ended_reg <= 1'b0;
                    code_reg <= ERR_NONE;
                    first_reg <= start.descriptor;
                    if (start_valid && device.ring_packed) begin
                        walk_reg <= first;
                        at_reg <= start.head;
                        left_reg <= 5'd1;
                        state_reg <= FIRST;
                    end else if (flight_valid && rsp.valid) begin
                        walk_reg <= flight.walk;
                        at_reg <= flight.walk.position.index;
                        left_reg <= flight.count;
                        state_reg <= WALK;
                    end
                end
                FIRST, WALK: if (step) begin
                    if (used) begin
                        walk_reg <= made.walk;
                        leave_reg <= made.leave || made.code != ERR_NONE;
                        ended_reg <= made.ended;
                        code_reg <= made.code;
                    end
                    if (!used || made.code == ERR_NONE) at_reg <= at_reg + 1'b1;
                    lane_reg <= beat_end ? '0 : lane_reg + 1'b1;
                    left_reg <= left_reg - 1'b1;
                    if (left_reg == 1) begin
                        // Whatever void data looked like, the bus error is the reason.
                        if (came_bad) code_reg <= ERR_RING_READ;
                        state_reg <= came_bad || code_reg != ERR_NONE || (used && made.code != ERR_NONE) ?
                            FAIL : FINISH;
                    end
                end
                FINISH: state_reg <= LOAD;
                default: if (error_ready || stopped) state_reg <= LOAD;
            endcase
        end
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
