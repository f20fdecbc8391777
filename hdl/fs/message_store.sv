// Notifications that wait, in order: a FIFO of words and one of {length, ticket}. A message is kept whole or refused
// with nothing kept. Two sources: the mailbox, which is always answered, and the engine. Under the hold policy the
// engine's message waits at the door until there is room, and the mailbox passes it.
//
// Not every output is of use. Records are taken whole; not every field counts here.
// verilator lint_off PINCONNECTEMPTY
// verilator lint_off UNUSEDSIGNAL
module message_store
    import endpoint_pkg::*;
    import pipeline_pkg::*;
    import fuse_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned BYTES = 16384
) (
    input  logic              clk,
    input  logic              rst,
    input  logic              flush,
    input  device_state_t     device,
    input  epoch_t            epoch,
    stream_if.snk             mail,
    output logic              result_valid,
    output notify_result_e    result,
    stream_if.snk             engine_notify,
    input  logic [31:0]       ticket,          // replies handed to the mover
    input  logic              deliverable,     // a buffer is there for one message more
    output logic              stored,          // one cycle: a message was kept
    output logic              message_valid,
    output message_t          message,
    input  logic              send,            // the first message: its words follow
    input  logic              drop,            // the first message: forget it
    output logic              busy,            // words of a message are under way
    output logic              word_valid,
    input  logic              word_ready,
    output logic [DATA_W-1:0] word,
    output count_t            count
);
    localparam int unsigned BEAT = DATA_W / 8;
    localparam int unsigned WORDS = BYTES / BEAT;
    localparam int unsigned AW = $clog2(WORDS);
    localparam int unsigned LANE_W = $clog2(BEAT);

    if (WORDS != 2 ** AW) begin : gen_check
        $fatal(1, "message_store: %0d bytes are no power of two", BYTES);
    end

    typedef enum logic [2:0] { PICK, JUDGE, TAKE, DRAIN, ANSWER } state_e;
    state_e         state_reg;
    logic           engine_reg;      // the source
    engine_notify_t user_reg;
    logic [16:0]    received_reg;
    logic [AW-1:0]  write_reg;
    logic [AW-1:0]  commit_reg;
    logic [AW-1:0]  read_reg;
    logic [AW:0]    free_reg;
    notify_result_e result_reg;
    logic           stale_reg;

    // ---- in ----

    engine_notify_t mailbox_user;
    engine_notify_t engine_user;
    assign mailbox_user = engine_notify_t'(mail.user);
    assign engine_user = engine_notify_t'(engine_notify.user);

    logic              in_valid;
    logic              in_last;
    logic [DATA_W-1:0] in_data;
    logic [LANE_W:0]   in_bytes;
    logic              taking;
    assign taking = state_reg == TAKE || state_reg == DRAIN;
    assign in_valid = engine_reg ? engine_notify.valid : mail.valid;
    assign in_last = engine_reg ? engine_notify.last : mail.last;
    assign in_data = engine_reg ? engine_notify.data : mail.data;
    assign in_bytes = engine_reg ? engine_notify.bytes : mail.bytes;
    assign mail.ready = taking && !engine_reg;
    assign engine_notify.ready = taking && engine_reg;

    logic [32:0] words;
    logic        malformed;
    logic        no_room;
    logic        whole;
    logic        commit;
    assign words = (33'(user_reg.length) + 33'(BEAT - 1)) >> LANE_W;
    assign malformed = !device.notification || !device.driver_ok || user_reg.length < FUSE_OUT_HEADER_BYTES ||
        user_reg.length > device.notify_buf_size || words > 33'(WORDS) || stale_reg;
    assign no_room = words > 33'(free_reg);
    assign whole = received_reg + 17'(in_bytes) == 17'(user_reg.length);
    assign commit = state_reg == TAKE && in_valid && in_last && whole && !flush;
    assign stored = commit;

    always_comb begin
        count = '0;
        count[COUNT_NOTIFY_HELD] = state_reg == ANSWER && result_reg == NOTIFY_HELD;
        count[COUNT_NOTIFY_REFUSED] = state_reg == ANSWER && result_reg == NOTIFY_REFUSED && !stale_reg;
        count[COUNT_STALE_EPOCH] = state_reg == ANSWER && stale_reg;
    end
    assign result_valid = state_reg == ANSWER && !engine_reg;
    assign result = result_reg;

    typedef enum logic [1:0] { WAIT, READ, GIVE } out_e;
    out_e              out_reg;
    logic [DATA_W-1:0] store [WORDS];
    logic [DATA_W-1:0] word_reg;

    always_ff @(posedge clk) begin
        if (state_reg == TAKE && in_valid) store[write_reg] <= in_data;
        if (out_reg == READ) word_reg <= store[read_reg];
    end

    always_ff @(posedge clk) begin
        case (state_reg)
            PICK: begin
                received_reg <= '0;
                write_reg <= commit_reg;
                result_reg <= NOTIFY_REFUSED;
                // One that waits for room lets the mailbox through.
                engine_reg <= !mail.valid;
                user_reg <= mail.valid ? mailbox_user : engine_user;
                stale_reg <= !mail.valid && engine_user.epoch != 8'(epoch);
                if (mail.valid || engine_notify.valid) state_reg <= JUDGE;
            end
            JUDGE: begin
                if (malformed) state_reg <= DRAIN;
                else if (!no_room) state_reg <= TAKE;
                else state_reg <= engine_reg && device.notify_policy == 0 ? PICK : DRAIN;
            end
            TAKE: if (in_valid) begin
                received_reg <= received_reg + 17'(in_bytes);
                write_reg <= write_reg + 1'b1;
                if (in_last) begin
                    if (commit) result_reg <= deliverable ? NOTIFY_ACCEPTED : NOTIFY_HELD;
                    state_reg <= ANSWER;
                end else if (flush || received_reg + 17'(in_bytes) >= 17'(user_reg.length)) begin
                    state_reg <= DRAIN;
                end
            end else if (flush) begin
                state_reg <= DRAIN;
            end
            DRAIN: if (in_valid && in_last) state_reg <= ANSWER;
            default: state_reg <= PICK;
        endcase
        // The mailbox forgets its message at a device reset; the engine's goes on to its end.
        if (flush && (!engine_reg || !taking)) state_reg <= PICK;
        if (rst) state_reg <= PICK;
    end

    message_t next;
    assign next.length = user_reg.length[15:0];
    assign next.ticket = ticket;
    sync_fifo #(.WIDTH($bits(message_t)), .DEPTH(WORDS)) message_fifo (
        .clk, .rst(flush), .in_valid(commit), .in_ready(), .in_data(next),
        .out_valid(message_valid), .out_ready(send || drop), .out_data(message)
    );

    // ---- out ----

    logic [AW:0] left_reg;
    logic [AW:0] first_words;
    logic [AW:0] freed;

    assign first_words = (AW + 1)'((17'(message.length) + 17'(BEAT - 1)) >> LANE_W);
    assign busy = out_reg != WAIT;
    assign word_valid = out_reg == GIVE;
    assign word = word_reg;
    assign freed = drop ? first_words : (AW + 1)'(out_reg == READ);

    always_ff @(posedge clk) begin
        if (flush) begin
            out_reg <= WAIT;
            commit_reg <= '0;
            read_reg <= '0;
            free_reg <= (AW + 1)'(WORDS);
        end else begin
            case (out_reg)
                WAIT: if (send) begin
                    left_reg <= first_words;
                    out_reg <= READ;
                end
                READ: begin
                    left_reg <= left_reg - 1'b1;
                    out_reg <= GIVE;
                end
                default: if (word_ready) out_reg <= left_reg != 0 ? READ : WAIT;
            endcase
            read_reg <= read_reg + freed[AW-1:0];
            free_reg <= free_reg + freed - (commit ? words[AW:0] : '0);
            if (commit) commit_reg <= write_reg + 1'b1;
        end
    end
endmodule
// verilator lint_on PINCONNECTEMPTY
// verilator lint_on UNUSEDSIGNAL
