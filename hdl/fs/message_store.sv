// Notifications that wait, in order: a FIFO of words and one of lengths. A message is kept whole or refused
// with nothing kept. Three sources: the mailbox, which is always answered; repairs, which come only where there is
// room; and the engine. An engine's message without room waits at the door, and the others pass it, unless it is an
// invalidation that may be lost: then notify_policy hears of it. LOCK and POLL of the file system in hardware have a
// place, that is room which counts as taken before they come.
//
// Not every output is of use. Records are taken whole; not every field counts here.
// verilator lint_off PINCONNECTEMPTY
// verilator lint_off UNUSEDSIGNAL
module message_store
    import endpoint_pkg::*;
    import pipeline_pkg::*;
    import fuse_pkg::*;
    import notify_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned BYTES = 16384
) (
    input  logic              clk,
    input  logic              rst,
    input  logic              flush,
    input  device_state_t     device,
    input  epoch_t            epoch,
    input  logic              firmware,        // answers FUSE
    input  logic [1:0]        session,         // its number
    stream_if.snk             mail,
    output logic              result_valid,
    output notify_result_e    result,
    stream_if.snk             engine_notify,
    // What happens without room: notify_policy.
    output logic [15:0]       room,            // words that are free
    output logic              settled,         // no message is on its way in
    output logic              steady,          // `room` is what it will be in the next cycle, but for more places
    input  logic [5:0]        places,          // that are kept
    input  logic [15:0]       reserved,        // words that only announcements may take
    output logic              lost,            // one cycle: an invalidation found no room
    output logic              lost_inode,      // INVAL_INODE, this one
    output inval_t            lost_inval,
    input  logic              placed,          // repairs go before announcements
    input  logic              repair_valid,
    input  repair_t           repair,
    output logic              repair_take,
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

    localparam int unsigned PLACE_WORDS = (LOCK_BYTES + BEAT - 1) / BEAT;
    localparam int unsigned IMAGE_W = (INVAL_BYTES * 8 + DATA_W - 1) / DATA_W * DATA_W;

    typedef enum logic [2:0] { PICK, JUDGE, TAKE, DRAIN, ANSWER } state_e;
    typedef enum logic [1:0] { MAIL, REPAIR, ENGINE } source_e;
    state_e         state_reg;
    source_e        source_reg;
    engine_notify_t user_reg;
    logic [16:0]    received_reg;
    logic [AW-1:0]  write_reg;
    logic [AW-1:0]  commit_reg;
    logic [AW-1:0]  read_reg;
    logic [AW:0]    free_reg;
    notify_result_e result_reg;
    logic           stale_reg;
    logic           lost_reg;
    logic [1:0]     session_reg;

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
    // A repair on its way in, or an INVAL_INODE that finds no room.
    logic [IMAGE_W-1:0] image_reg;
    inval_message_t     image;
    logic [16:0]        left;
    assign image = image_reg[INVAL_BYTES*8-1:0];
    assign left = 17'(user_reg.length) - received_reg;

    always_comb begin
        case (source_reg)
            MAIL: begin
                in_valid = mail.valid;
                in_last = mail.last;
                in_data = mail.data;
                in_bytes = mail.bytes;
            end
            REPAIR: begin
                in_valid = 1'b1;
                in_last = left <= 17'(BEAT) || state_reg == DRAIN;
                in_data = image_reg[DATA_W-1:0];
                in_bytes = in_last ? left[LANE_W:0] : (LANE_W + 1)'(BEAT);
            end
            default: begin
                in_valid = engine_notify.valid;
                in_last = engine_notify.last;
                in_data = engine_notify.data;
                in_bytes = engine_notify.bytes;
            end
        endcase
    end
    assign mail.ready = taking && source_reg == MAIL;
    assign engine_notify.ready = taking && source_reg == ENGINE;
    assign settled = state_reg == PICK;
    assign repair_take = settled && !mail.valid && repair_valid && !flush;

    logic [32:0] words;
    logic        has_place;
    logic        malformed;
    logic        no_room;
    logic        loses;              // without room
    logic        whole;
    logic        commit;
    assign steady = state_reg == PICK ? !mail.valid && !repair_take && !engine_notify.valid : state_reg != JUDGE;
    // What is coming in has its words already.
    assign room = 16'(free_reg) - 16'(places) * 16'(PLACE_WORDS) - (state_reg == TAKE && !has_place ? 16'(words) : '0);
    assign words = (33'(user_reg.length) + 33'(BEAT - 1)) >> LANE_W;
    assign malformed = !device.notification || !device.driver_ok || user_reg.length < FUSE_OUT_HEADER_BYTES ||
        user_reg.length > device.notify_buf_size || words > 33'(WORDS) || stale_reg;
    assign has_place = source_reg == ENGINE && user_reg.msg_class == CLASS_PLACED && !firmware;
    assign no_room = !has_place && words + (source_reg == MAIL ? 33'(reserved) : '0) > 33'(room);
    // The file system in hardware never waits here.
    assign loses = user_reg.msg_class == CLASS_INVALIDATION && (!firmware || device.notify_policy != 0);
    assign whole = received_reg + 17'(in_bytes) == 17'(user_reg.length);
    assign commit = state_reg == TAKE && in_valid && in_last && whole && !flush;
    assign stored = commit;

    always_comb begin
        count = '0;
        count[COUNT_NOTIFY_HELD] = state_reg == ANSWER && result_reg == NOTIFY_HELD;
        count[COUNT_NOTIFY_REFUSED] = state_reg == ANSWER && result_reg == NOTIFY_REFUSED && !stale_reg && !lost_reg;
        count[COUNT_STALE_EPOCH] = state_reg == ANSWER && stale_reg;
    end
    assign result_valid = state_reg == ANSWER && source_reg == MAIL;
    assign lost = state_reg == ANSWER && lost_reg;
    assign lost_inode = image.code == NOTIFY_INVAL_INODE && user_reg.length == INVAL_BYTES;
    assign lost_inval = '{length: image.length, offset: image.offset, nodeid: image.nodeid};
    assign result = result_reg;

    typedef enum logic [1:0] { WAIT, READ, GIVE } out_e;
    out_e              out_reg;
    logic [DATA_W-1:0] store [WORDS];
    logic [DATA_W-1:0] word_reg;

    always_ff @(posedge clk) begin
        if (state_reg == TAKE && in_valid) store[write_reg] <= in_data;
        if (out_reg == READ) word_reg <= store[read_reg];
    end

    inval_message_t made;
    assign made = repair_message(repair);
    always_ff @(posedge clk) begin
        if (state_reg == PICK) image_reg <= IMAGE_W'(made);
        else if (taking && in_valid) image_reg <= IMAGE_W'({in_data, image_reg} >> DATA_W);
    end

    always_ff @(posedge clk) begin
        case (state_reg)
            PICK: begin
                received_reg <= '0;
                write_reg <= commit_reg;
                result_reg <= NOTIFY_REFUSED;
                // One that waits for room lets the others through.
                source_reg <= mail.valid ? MAIL : repair_take ? REPAIR : ENGINE;
                user_reg <= mail.valid ? mailbox_user : engine_user;
                if (repair_take) user_reg <= '{msg_class: CLASS_INVALIDATION, length: made.bytes, default: '0};
                stale_reg <= !mail.valid && !repair_take && engine_user.epoch != 8'(epoch);
                lost_reg <= 1'b0;
                session_reg <= session;
                if (mail.valid || repair_take || engine_notify.valid) state_reg <= JUDGE;
            end
            JUDGE: begin
                if (malformed || (no_room && source_reg == MAIL)) state_reg <= DRAIN;
                else if (source_reg != ENGINE || !(no_room || (placed && loses))) state_reg <= TAKE;
                else if (loses && !(placed && repair_valid)) begin
                    lost_reg <= 1'b1;
                    state_reg <= DRAIN;
                end else state_reg <= PICK;
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
        if (flush && (source_reg != ENGINE || !taking)) state_reg <= PICK;
        if (flush) lost_reg <= 1'b0;
        if (rst) state_reg <= PICK;
    end

    message_t next;
    assign next.length = user_reg.length[15:0];
    assign next.announced = source_reg != MAIL && !firmware;
    assign next.session = session_reg;
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
