// Walks chains of split rings (virtio 1.4, 2.7.5): each in full before it is executed, and again, a window at a time,
// for a cursor that moves the data of a long one. A walk in progress is a record that goes round
//   work queue -> read of some descriptors -> walk over them -> work queue
// so many chains wait for the host at once.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module chain_fetch_split
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
    output logic                     error_valid,
    input  logic                     error_ready,
    output error_t                   error
);
    localparam int unsigned LANE_COUNT = DATA_W / 128;   // descriptors a beat
    localparam int unsigned LANE_W = LANE_COUNT == 1 ? 1 : $clog2(LANE_COUNT);
    localparam logic [16:0] DIRECT_BLOCK = 17'd4;
    localparam logic [16:0] TABLE_BLOCK = 17'd16;

    localparam logic [15:0] FLAG_NEXT = 16'd1;
    localparam logic [15:0] FLAG_WRITE = 16'd2;
    localparam logic [15:0] FLAG_INDIRECT = 16'd4;

    typedef struct packed {
        logic [15:0] next;
        logic [15:0] flags;
        logic [31:0] len;
        logic [63:0] addr;
    } descriptor_t;

    typedef struct packed {
        slot_t       slot;
        logic        again;          // for a cursor
        lane_e       lane;
        logic [15:0] id;
        position_t   position;
        logic [4:0]  stored;
        logic        more;
        logic [31:0] readable;
        logic [31:0] writable;
    } walk_t;

    // ---- the work queue: walks that go on, then cursors, then new chains ----

    walk_t walk_reg;
    logic  goes_on;
    logic  work_in_valid;
    logic  work_in_ready;
    walk_t work_in;
    logic  work_valid;
    logic  work_ready;
    walk_t work;
    logic  refetch_taken;

    always_comb begin
        work_in = walk_reg;
        work_in_valid = goes_on;
        start_ready = 1'b0;
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
            if (!refetch_taken && start_valid) begin
                work_in = '0;
                work_in.slot = slot_t'(start.ctx);
                work_in.lane = start.lane;
                work_in.id = start.head;
                work_in.position.queue = start.queue;
                work_in.position.base = queues[start.queue].desc;
                work_in.position.bound = {1'b0, queues[start.queue].size};
                work_in.position.index = start.head;
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
        end else if (block > DIRECT_BLOCK) begin
            block = DIRECT_BLOCK;
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

    typedef enum logic [1:0] { LOAD, WALK, FINISH, FAIL } state_e;
    state_e            state_reg;
    logic [15:0]       at_reg;        // index of the descriptor at hand
    logic [4:0]        left_reg;
    logic [LANE_W-1:0] lane_reg;
    logic              leave_reg;     // the rest of this block is of no use
    logic              ended_reg;     // chain ended, or the cursor's window is full
    error_code_e       code_reg;

    descriptor_t desc;
    if (LANE_COUNT == 1) begin : gen_narrow
        assign desc = rsp.data[127:0];
    end else begin : gen_wide
        assign desc = rsp.data[128*lane_reg +: 128];
    end

    logic step;
    logic used;
    logic beat_end;
    assign step = state_reg == WALK && rsp.valid;
    assign used = step && !leave_reg && at_reg == walk_reg.position.index;
    assign beat_end = lane_reg == LANE_W'(LANE_COUNT - 1) || left_reg == 1;
    assign rsp.ready = step && beat_end;
    assign flight_ready = state_reg == LOAD;

    // One descriptor: what it makes of the walk.
    walk_t       walk_next;
    error_code_e code_next;
    logic        leave_next;
    logic        ended_next;
    logic        is_next;
    logic        is_write;
    logic        is_indirect;
    logic [32:0] total;
    logic        store;
    logic        fills;

    assign is_next = (desc.flags & FLAG_NEXT) != 0;
    assign is_write = (desc.flags & FLAG_WRITE) != 0;
    assign is_indirect = (desc.flags & FLAG_INDIRECT) != 0;
    assign total = {1'b0, walk_reg.readable} + {1'b0, walk_reg.writable} + {1'b0, desc.len};

    always_comb begin
        walk_next = walk_reg;
        code_next = ERR_NONE;
        leave_next = 1'b0;
        ended_next = 1'b0;
        store = 1'b0;
        fills = 1'b0;
        if (is_indirect) begin
            // WRITE means nothing here (SPLIT-IND-D01).
            walk_next.position.indirect = 1'b1;
            walk_next.position.base = desc.addr;
            walk_next.position.bound = desc.len[31:20] != 0 ? 17'h10000 : {1'b0, desc.len[19:4]};
            walk_next.position.index = '0;
            leave_next = 1'b1;
            if (walk_reg.position.indirect) code_next = ERR_INDIRECT_NESTED;
            else if (!device.indirect_desc) code_next = ERR_INDIRECT_OFF;
            else if (is_next) code_next = ERR_INDIRECT_NEXT;
            else if (desc.len == 0 || desc.len[3:0] != 0) code_next = ERR_INDIRECT_LENGTH;
        end else begin
            walk_next.position.count = walk_reg.position.count + 1'b1;
            walk_next.position.writing = walk_reg.position.writing || is_write;
            store = desc.len != 0 && walk_reg.stored != 5'(WINDOW);
            fills = store && walk_reg.stored == 5'(WINDOW - 1);
            if (store) walk_next.stored = walk_reg.stored + 1'b1;
            if (is_write) walk_next.writable = walk_reg.writable + desc.len;
            else walk_next.readable = walk_reg.readable + desc.len;
            if (is_next) begin
                walk_next.position.index = desc.next;
                if (fills) walk_next.more = 1'b1;
                ended_next = fills && walk_reg.again;
                leave_next = ended_next || desc.next <= at_reg;
            end else begin
                ended_next = 1'b1;
                leave_next = 1'b1;
            end
            if (walk_reg.position.count == queues[walk_reg.position.queue].size) code_next = ERR_CHAIN_LENGTH;
            else if (walk_reg.position.writing && !is_write) code_next = ERR_DIRECTION;
            else if (total[32]) code_next = ERR_CHAIN_BYTES;
            else if (is_next && 17'(desc.next) >= walk_reg.position.bound) code_next = ERR_NEXT_INDEX;
        end
    end

    assign segment_valid = used && store;
    assign segment_slot = walk_reg.slot;
    assign segment_index = walk_reg.stored[3:0];
    assign segment.addr = desc.addr;
    assign segment.len = desc.len;
    assign segment.write = is_write;
    assign segment.last = !is_next;
    assign resume_valid = used && fills && !walk_reg.again;
    assign resume_ctx = context_t'(walk_reg.slot);
    assign resume = walk_next.position;

    logic finish;
    assign finish = state_reg == FINISH;
    assign goes_on = finish && !ended_reg;
    assign info_valid = finish && ended_reg && !walk_reg.again;
    assign info.chain.ctx = context_t'(walk_reg.slot);
    assign info.chain.queue = walk_reg.position.queue;
    assign info.chain.lane = walk_reg.lane;
    assign info.chain.id = walk_reg.id;
    assign info.chain.slots = 16'd1;
    assign info.chain.readable = walk_reg.readable;
    assign info.chain.writable = walk_reg.writable;
    assign info.segments = walk_reg.stored;
    assign info.more = walk_reg.more;
    assign refetched.position = walk_reg.position;
    assign refetched.segments = walk_reg.stored;
    assign refetched.more = walk_reg.more;
    assign error_valid = state_reg == FAIL;
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
                LOAD: if (flight_valid) begin
                    walk_reg <= flight.walk;
                    at_reg <= flight.walk.position.index;
                    left_reg <= flight.count;
                    lane_reg <= '0;
                    leave_reg <= 1'b0;
                    ended_reg <= 1'b0;
                    code_reg <= ERR_NONE;
                    state_reg <= WALK;
                end
                WALK: if (step) begin
                    if (used) begin
                        walk_reg <= walk_next;
                        leave_reg <= leave_next || code_next != ERR_NONE;
                        ended_reg <= ended_next;
                        code_reg <= code_next;
                    end
                    if (!used || code_next == ERR_NONE) at_reg <= at_reg + 1'b1;
                    lane_reg <= beat_end ? '0 : lane_reg + 1'b1;
                    left_reg <= left_reg - 1'b1;
                    if (left_reg == 1) begin
                        // Whatever void data looked like, the bus error is the reason.
                        if (rsp.user[0]) code_reg <= ERR_RING_READ;
                        state_reg <= rsp.user[0] || code_reg != ERR_NONE || (used && code_next != ERR_NONE) ?
                            FAIL : FINISH;
                    end
                end
                FINISH: state_reg <= LOAD;
                default: if (error_ready) state_reg <= LOAD;
            endcase
        end
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
