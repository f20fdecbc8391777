// Hands gathered requests to the engine, high priority first, and frees their buffers. A message that has begun is
// finished even when the device is reset meanwhile; its epoch tells the engine that it is void. Of a queue that is being
// reset none begins.
//
// Not every output is of use. Records are taken whole; not every field counts here.
// verilator lint_off PINCONNECTEMPTY
// verilator lint_off UNUSEDSIGNAL
module request_sender
    import endpoint_pkg::*;
    import pipeline_pkg::*;
    import fuse_pkg::*;
#(
    parameter int unsigned DATA_W = 256
) (
    input  logic              clk,
    input  logic              rst,
    input  logic              flush,
    input  epoch_t            epoch,
    input  logic [MAX_QUEUES-1:0] queue_stop,
    input  logic              buffer_write,
    input  logic [$clog2(16*1024*8/DATA_W)-1:0] buffer_addr,
    input  logic [DATA_W-1:0] buffer_data,
    input  logic              gathered_valid,
    input  gathered_t         gathered,
    output logic              freed_valid,
    output logic [3:0]        freed,
    output context_t          look_ctx,
    input  chain_info_t       look_info,
    output logic              sent_valid,    // the engine has this context from here on
    output context_t          sent,
    output logic              sending_valid, // it has not heard all of that one yet
    output context_t          sending,
    output logic              skipped_valid, // one cycle: it will not hear of this one
    output logic              sent_init,     // it is a FUSE_INIT on a request queue
    stream_if.src             engine_request,
    output count_t            count
);
    localparam int unsigned BEAT = DATA_W / 8;
    localparam int unsigned WORD_W = $clog2(1024 / BEAT);

    logic      hi_valid;
    gathered_t hi;
    logic      request_valid;
    gathered_t request;
    logic      pick;
    gathered_t picked;
    logic      is_hi;

    // The lane is known by the context's number.
    assign is_hi = 32'(gathered.ctx) < HI_CONTEXTS;

    word_fifo #(.WIDTH($bits(gathered_t)), .DEPTH(16)) hi_fifo (
        .clk, .rst(flush), .in_valid(gathered_valid && is_hi), .in_ready(), .in_data(gathered),
        .out_valid(hi_valid), .out_ready(pick && hi_valid), .out_data(hi), .count()
    );
    word_fifo #(.WIDTH($bits(gathered_t)), .DEPTH(16)) request_fifo (
        .clk, .rst(flush), .in_valid(gathered_valid && !is_hi), .in_ready(), .in_data(gathered),
        .out_valid(request_valid), .out_ready(pick && !hi_valid), .out_data(request), .count()
    );

    logic [DATA_W-1:0] buffers [2 ** (4 + WORD_W)];
    logic [DATA_W-1:0] word_reg;

    typedef enum logic [1:0] { PICK, LOOK, READ, SEND } state_e;
    state_e            state_reg;
    gathered_t         now_reg;
    logic [WORD_W-1:0] index_reg;
    logic [10:0]       left_reg;
    engine_request_t   user_reg;
    logic              first_reg;
    logic              orphan_reg;      // the device was reset since this message began

    assign pick = state_reg == PICK && !flush;
    assign picked = hi_valid ? hi : request;
    assign look_ctx = now_reg.ctx;

    in_header_start_t start;
    logic             accept;
    assign start = word_reg[63:0];
    assign engine_request.valid = state_reg == SEND;
    assign engine_request.data = word_reg;
    assign engine_request.last = left_reg <= 11'(BEAT);
    assign engine_request.bytes = engine_request.last ? ($clog2(BEAT) + 1)'(left_reg) : ($clog2(BEAT) + 1)'(BEAT);
    assign engine_request.user = user_reg;
    assign accept = engine_request.valid && engine_request.ready;
    assign sent_valid = accept && first_reg && !orphan_reg;
    assign sent = now_reg.ctx;
    assign sent_init = (start.opcode == FUSE_INIT || start.opcode == FUSE_INIT_BSWAP) &&
        user_reg.lane == 8'(LANE_REQ);
    assign sending_valid = state_reg != PICK && !first_reg;
    assign sending = now_reg.ctx;
    assign skipped_valid = state_reg == LOOK && !flush && queue_stop[look_info.chain.queue];
    assign freed_valid = skipped_valid || (accept && engine_request.last && !orphan_reg);
    assign freed = now_reg.buffer;

    always_comb begin
        count = '0;
        count[COUNT_REQUESTS] = sent_valid;
    end

    always_ff @(posedge clk) begin
        if (buffer_write) buffers[buffer_addr] <= buffer_data;
        if (state_reg == READ) word_reg <= buffers[{now_reg.buffer, index_reg}];
    end

    always_ff @(posedge clk) begin
        case (state_reg)
            PICK: begin
                now_reg <= picked;
                index_reg <= '0;
                first_reg <= 1'b1;
                orphan_reg <= 1'b0;
                if (pick && (hi_valid || request_valid)) state_reg <= LOOK;
            end
            LOOK: begin
                user_reg.head_bytes <= 16'(now_reg.bytes);
                user_reg.fn <= '0;
                user_reg.writable <= look_info.chain.writable;
                user_reg.readable <= look_info.chain.readable;
                user_reg.epoch <= 8'(epoch);
                user_reg.lane <= 8'(look_info.chain.lane);
                user_reg.queue <= 8'(look_info.chain.queue);
                user_reg.ctx <= 8'(now_reg.ctx);
                left_reg <= now_reg.bytes;
                state_reg <= flush || skipped_valid ? PICK : READ;
            end
            READ: state_reg <= flush && first_reg ? PICK : SEND;
            default: if (engine_request.ready) begin
                index_reg <= index_reg + 1'b1;
                left_reg <= left_reg - 11'(BEAT);
                first_reg <= 1'b0;
                state_reg <= engine_request.last ? PICK : READ;
            end
        endcase
        if (flush && state_reg != PICK) orphan_reg <= 1'b1;
        if (rst) state_reg <= PICK;
    end
endmodule
// verilator lint_on PINCONNECTEMPTY
// verilator lint_on UNUSEDSIGNAL
