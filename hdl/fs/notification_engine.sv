// Brings the messages of the store to buffers of the notification queue. Buffers are fetched ahead and wait here in
// the order in which they were made available; a kick alone uses none. A message leaves when the session is initialised
// (the reply to FUSE_INIT is used) and every reply that was given before the message is used.
//
// A buffer below notify_buf_size, or with a readable part, goes back with used length 0 when its turn comes, and the
// message stays first.
//
// Not every output is of use. Records are taken whole; not every field counts here.
// verilator lint_off PINCONNECTEMPTY
// verilator lint_off UNUSEDSIGNAL
module notification_engine
    import endpoint_pkg::*;
    import pipeline_pkg::*;
#(
    parameter int unsigned CONTEXTS = 32
) (
    input  logic          clk,
    input  logic          rst,
    input  logic          flush,
    input  logic          serve,
    input  device_state_t device,
    input  logic          start_valid,      // a chain gets a context
    input  chain_start_t  start,
    input  logic          walked_valid,
    input  walked_t       walked,
    output context_t      look_ctx,
    input  chain_info_t   look_info,
    // A reset of the queue: its buffers are forgotten, messages stay.
    input  logic          queue_stop,
    input  logic          queue_clear,
    input  logic          drop_valid,       // a context without an answer, of whatever queue
    input  context_t      dropped,
    output logic [CONTEXTS-1:0] parked,     // buffers that wait
    // The session.
    input  logic          done_valid,
    input  write_done_t   done,
    input  logic          replied_valid,    // a reply's used entry is on its way
    input  context_t      replied,
    input  logic          replied_init,     // that of a FUSE_INIT without error
    input  logic          firmware,         // answered it; the file system in hardware says whether a session began
    output logic          renewed,          // a session did: what was meant for the one before is forgotten
    input  logic [1:0]    session,          // its number; what was announced to another one is forgotten
    // The store.
    input  logic          stored,
    output logic          deliverable,
    input  logic          message_valid,
    input  message_t      message,
    output logic          send,
    output logic          drop,
    input  logic          busy,
    // To the writer.
    output logic          out_valid,
    input  logic          out_ready,
    output scatter_t      out,
    output logic          error_valid,
    input  logic          error_ready,
    output error_t        error,
    output count_t        count
);
    localparam int unsigned CW = $clog2(CONTEXTS);

    // ---- the session, and the replies of request queues that are on their way ----

    logic [CONTEXTS-1:0] replies_reg;
    logic                initialised_reg;
    logic [1:0]          session_reg;        // the last one that an answer has told of
    logic                answered_reg;       // FUSE_INIT was; its used entry is not out yet
    context_t            init_ctx_reg;
    logic                is_request;
    logic                init_reply;
    assign is_request = context_lane(32'(replied), CONTEXTS) == LANE_REQ;
    assign init_reply = replied_valid && replied_init;
    assign renewed = init_reply && (firmware || session != session_reg);

    always_ff @(posedge clk) begin
        if (flush) begin
            replies_reg <= '0;
            initialised_reg <= 1'b0;
            answered_reg <= 1'b0;
        end else begin
            if (done_valid) replies_reg[done.ctx[CW-1:0]] <= 1'b0;
            if (drop_valid) replies_reg[dropped[CW-1:0]] <= 1'b0;
            if (replied_valid && is_request) replies_reg[replied[CW-1:0]] <= 1'b1;
            if (renewed) begin
                answered_reg <= 1'b1;
                initialised_reg <= 1'b0;
                init_ctx_reg <= replied;
            end else if (answered_reg && done_valid && done.ctx == init_ctx_reg) begin
                answered_reg <= 1'b0;
                initialised_reg <= 1'b1;
            end else if (answered_reg && drop_valid && dropped == init_ctx_reg) begin
                answered_reg <= 1'b0;
            end
        end
        if (flush || init_reply) session_reg <= session;
    end

    // What was on its way when the first message came to be the first one: all that was given before the message, and
    // perhaps more.
    logic                first_reg;          // it is known of the first message
    logic [CONTEXTS-1:0] ahead_reg;
    always_ff @(posedge clk) begin
        if (!first_reg) ahead_reg <= replies_reg;
        else ahead_reg <= ahead_reg & replies_reg;
        first_reg <= !flush && message_valid && !send && !drop;
    end

    // ---- buffers, in the order in which they were made available ----

    logic                buffer_valid;
    logic                buffer_pop;
    context_t            buffer;
    logic                fits;
    logic                whole;
    logic                buffer_known;
    logic [CONTEXTS-1:0] walked_reg;

    word_fifo #(.WIDTH($bits(context_t)), .DEPTH(32)) buffer_fifo (
        .clk, .rst(flush || queue_clear),
        .in_valid(start_valid && start.lane == LANE_NTF), .in_ready(), .in_data(start.ctx),
        .out_valid(buffer_known), .out_ready(buffer_pop), .out_data(buffer), .count()
    );
    typedef enum logic [1:0] { IDLE, LOG, SEND, RETURN } state_e;    // of the message at hand
    state_e state_reg;

    assign buffer_valid = buffer_known && walked_reg[buffer[CW-1:0]];
    assign parked = walked_reg;

    always_ff @(posedge clk) begin
        if (flush) begin
            walked_reg <= '0;
        end else begin
            if (state_reg != IDLE) walked_reg[buffer[CW-1:0]] <= 1'b0;
            if (drop_valid) walked_reg[dropped[CW-1:0]] <= 1'b0;
            if (walked_valid && walked.lane == LANE_NTF) walked_reg[walked.ctx[CW-1:0]] <= 1'b1;
        end
    end

    // A buffer is looked at once when it comes, to be counted, and again when its turn comes.
    logic     new_reg;
    context_t new_ctx_reg;
    always_ff @(posedge clk) begin
        new_reg <= walked_valid && walked.lane == LANE_NTF && !flush;
        new_ctx_reg <= walked.ctx;
    end
    assign look_ctx = new_reg ? new_ctx_reg : buffer;
    assign whole = look_info.chain.readable == 0;
    assign fits = look_info.chain.writable >= device.notify_buf_size;

    logic [5:0]  good_reg;           // buffers that a message can use
    logic [15:0] waiting_reg;        // messages
    logic [15:0] to_drop_reg;
    logic [15:0] to_count_reg;       // forgotten by a reset, not counted yet
    assign deliverable = initialised_reg && 16'(good_reg) > waiting_reg;

    // ---- one message at a time ----

    logic        readable_reg;
    logic        outdated;

    assign outdated = message.announced && message.session != session;
    assign drop = state_reg == IDLE && message_valid && (to_drop_reg != 0 || outdated) && !busy;
    assign send = state_reg == SEND && out_ready;
    assign buffer_pop = out_valid && out_ready;
    assign out_valid = state_reg == SEND || state_reg == RETURN;
    assign error_valid = state_reg == LOG;
    assign error = make_error(readable_reg ? ERR_NOTIFY_READABLE : ERR_NOTIFY_SMALL, 1'b0, out.queue,
                              64'(buffer));

    chain_t chain_reg;
    always_comb begin
        out = '0;
        out.ctx = buffer;
        out.lane = LANE_NTF;
        out.queue = chain_reg.queue;
        out.id = chain_reg.id;
        out.slots = chain_reg.slots;
        out.used = 1'b1;
        if (state_reg == SEND) begin
            out.length = 32'(message.length);
            out.used_len = 32'(message.length);
        end
        count = '0;
        count[COUNT_NOTIFY_DELIVERED] = send;
        count[COUNT_NOTIFY_CHAINS_RETURNED] = state_reg == RETURN && out_ready;
        count[COUNT_NOTIFY_EMPTIED] = drop || (to_count_reg != 0 && !flush);
    end

    always_ff @(posedge clk) begin
        if (flush) begin
            state_reg <= IDLE;
            good_reg <= '0;
            waiting_reg <= '0;
            to_drop_reg <= '0;
            to_count_reg <= to_count_reg + waiting_reg;
        end else begin
            case (state_reg)
                IDLE: if (serve && initialised_reg && message_valid && !drop && first_reg && ahead_reg == '0 &&
                          !busy && buffer_valid && !new_reg && !queue_stop) begin
                    chain_reg <= look_info.chain;
                    readable_reg <= !whole;
                    state_reg <= whole && fits ? SEND : LOG;
                end
                LOG: if (error_ready) state_reg <= RETURN;
                default: if (out_ready) state_reg <= IDLE;
            endcase
            good_reg <= queue_clear ? '0 : good_reg + 6'(new_reg && whole && fits) - 6'(send);
            waiting_reg <= waiting_reg + 16'(stored) - 16'(send || drop);
            // A new session forgets what was meant for the old one.
            if (renewed && initialised_reg) to_drop_reg <= waiting_reg + 16'(stored) - 16'(send || drop);
            else if ((drop || send) && to_drop_reg != 0) to_drop_reg <= to_drop_reg - 1'b1;
            if (to_count_reg != 0 && !drop) to_count_reg <= to_count_reg - 1'b1;
        end
        if (rst) to_count_reg <= '0;
    end
endmodule
// verilator lint_on PINCONNECTEMPTY
// verilator lint_on UNUSEDSIGNAL
