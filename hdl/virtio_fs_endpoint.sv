// A virtio-fs device behind PCIe: transaction-layer packets on one side, the DPU on the other. The block diagram, in
// the order in which data flows.
//
// Not every output is of use.
// verilator lint_off PINCONNECTEMPTY
module virtio_fs_endpoint
    import endpoint_pkg::*;
    import pipeline_pkg::*;
    import notify_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned NUM_REQUEST_QUEUES = 4,
    parameter int unsigned MAX_QUEUE_SIZE = 1024,
    parameter int unsigned MSIX_VECTORS = 11,
    parameter int unsigned CONTEXTS = 32,
    parameter int unsigned MESSAGE_STORE_BYTES = 16384,
    parameter bit          CONFIG_SPACE = 1,
    parameter bit          RAMFS = 1,           // the file system in hardware is built; firmware can answer as well
    parameter int unsigned RAMFS_INODES = 1024,
    parameter int unsigned RAMFS_PAGES = 1024,  // of 4 KiB
    parameter int unsigned RAMFS_LOCK_WAITS = 8 // requests that wait for a lock
) (
    input  logic   clk,
    input  logic   rst,
    // PCIe: host requests and completions to them, device requests and completions to them.
    tlp_if.snk     cq,
    tlp_if.src     cc,
    tlp_if.src     rq,
    tlp_if.snk     rc,
    input  logic   rq_np_ok,
    output logic   cq_np_ok,
    // The DPU's registers.
    axil_if.slv    dpu,
    // Firmware that answers FUSE: `user` as in endpoint_pkg.
    stream_if.src  engine_request,
    stream_if.snk  engine_job,
    stream_if.src  engine_done,
    stream_if.snk  engine_reply,
    stream_if.snk  engine_notify,
    stream_if.src  engine_control,
    stream_if.snk  engine_control_ack,
    storage_if.mst storage
);
    // ---- registers: doorbells in, interrupts out ----

    logic                  firmware;
    ramfs_pkg::time_t      clock;
    pci_control_t          pci;
    device_state_t         device;
    queue_cfgs_t           queues;
    logic [MAX_QUEUES-1:0] doorbell;
    logic [MAX_QUEUES-1:0] queue_reset_request, queue_stop, queue_disable, queue_clear;
    reset_req_t            reset;
    logic                  reads_idle, lanes_idle, arbiter_idle;
    logic [7:0]            posted_granted, posted_sent;
    logic                  irq_valid, irq_ready;
    queue_t                irq_queue;
    logic                  log_valid, log_ready;
    error_t                log;
    count_t                counts;
    logic [3:0]            completion_error;
    logic                  result_valid;
    logic                  overflow;
    notify_result_e        result;

    tlp_if #(.DATA_W(DATA_W)) interrupt ();
    stream_if #(.DATA_W(DATA_W)) mail ();
    dpu_client_if #(.DATA_W(DATA_W)) client ();
    retrieved_if #(.DATA_W(DATA_W)) kept ();

    register_front #(
        .DATA_W(DATA_W), .NUM_REQUEST_QUEUES(NUM_REQUEST_QUEUES), .MAX_QUEUE_SIZE(MAX_QUEUE_SIZE),
        .MSIX_VECTORS(MSIX_VECTORS), .CONFIG_SPACE(CONFIG_SPACE), .RAMFS(RAMFS)
    ) register_front (
        .clk, .rst, .cq, .cc, .cq_np_ok, .dpu, .firmware, .clock, .pci, .device, .queues, .doorbell,
        .queue_reset_request, .queue_resetting(queue_stop), .queue_disable, .reset,
        .dma_idle(reads_idle && lanes_idle && arbiter_idle), .posted_granted, .posted_sent,
        .irq_valid, .irq_ready, .irq_queue, .message(interrupt),
        .error_valid(log_valid), .error_ready(log_ready), .error(log), .completion_error, .count(counts),
        .mailbox(mail), .mailbox_result_valid(result_valid), .mailbox_result(result), .overflow, .client,
        .kept
    );

    // ---- who answers FUSE ----

    stream_if #(.DATA_W(DATA_W)) request ();
    stream_if #(.DATA_W(DATA_W)) jobs ();
    stream_if #(.DATA_W(DATA_W)) dones ();
    stream_if #(.DATA_W(DATA_W)) replies ();
    stream_if #(.DATA_W(DATA_W)) notices ();
    stream_if #(.DATA_W(DATA_W)) control ();
    stream_if #(.DATA_W(DATA_W)) control_ack ();
    storage_if #(.DATA_W(DATA_W)) memory ();
    stream_if #(.DATA_W(DATA_W)) ramfs_request ();
    stream_if #(.DATA_W(DATA_W)) ramfs_job ();
    stream_if #(.DATA_W(DATA_W)) ramfs_done ();
    stream_if #(.DATA_W(DATA_W)) ramfs_reply ();
    stream_if #(.DATA_W(DATA_W)) ramfs_notify ();
    stream_if #(.DATA_W(DATA_W)) ramfs_control ();
    stream_if #(.DATA_W(DATA_W)) ramfs_control_ack ();
    storage_if #(.DATA_W(DATA_W)) ramfs_storage ();

    engine_select #(.DATA_W(DATA_W)) engine_select (
        .clk, .rst, .firmware, .request, .job(jobs), .done(dones), .reply(replies), .notify(notices), .control,
        .control_ack, .storage(memory), .ramfs_request, .ramfs_job, .ramfs_done, .ramfs_reply, .ramfs_notify,
        .ramfs_control, .ramfs_control_ack, .ramfs_storage, .firmware_request(engine_request),
        .firmware_job(engine_job), .firmware_done(engine_done), .firmware_reply(engine_reply),
        .firmware_notify(engine_notify), .firmware_control(engine_control),
        .firmware_control_ack(engine_control_ack), .firmware_storage(storage)
    );

    session_t    session;
    logic        dropped, walk_room, walk_valid, walk_take, walk_done;
    repair_t     walk;
    logic        dpu_busy, dpu_may_begin, place_valid, place_ready, place_free;
    logic [5:0]  places;
    logic [31:0] dpu_opcode;

    // What waits for a lock keeps its context: the unlock must get another one, whatever queue it comes from.
    if (RAMFS && queue_contexts(NUM_REQUEST_QUEUES, CONTEXTS) <= RAMFS_LOCK_WAITS) begin : gen_check_waits
        $fatal(1, "virtio_fs_endpoint: %0d requests may wait for locks, but a queue has no more than %0d contexts",
            RAMFS_LOCK_WAITS, queue_contexts(NUM_REQUEST_QUEUES, CONTEXTS));
    end
    if (RAMFS) begin : gen_ramfs
        stream_if #(.DATA_W(DATA_W)) any_request ();
        stream_if #(.DATA_W(DATA_W)) any_job ();
        stream_if #(.DATA_W(DATA_W)) any_done ();
        stream_if #(.DATA_W(DATA_W)) any_reply ();
        storage_if #(.DATA_W(DATA_W)) any_storage ();

        ramfs_clients #(.DATA_W(DATA_W)) ramfs_clients (
            .clk, .rst, .dpu(client), .dpu_busy, .dpu_opcode, .dpu_may_begin, .host_request(ramfs_request),
            .host_job(ramfs_job), .host_done(ramfs_done), .host_reply(ramfs_reply), .host_storage(ramfs_storage),
            .engine_request(any_request), .engine_job(any_job), .engine_done(any_done), .engine_reply(any_reply),
            .storage(any_storage)
        );

        ramfs_engine #(
            .DATA_W(DATA_W), .INODES(RAMFS_INODES), .PAGES(RAMFS_PAGES), .LOCK_WAITS(RAMFS_LOCK_WAITS)
        ) ramfs_engine (
            .clk, .rst, .clock, .device, .engine_request(any_request), .engine_job(any_job),
            .engine_done(any_done), .engine_reply(any_reply), .engine_notify(ramfs_notify),
            .engine_control(ramfs_control), .engine_control_ack(ramfs_control_ack), .storage(any_storage),
            .kept, .session, .place_valid, .place_ready, .place_free, .places,
            .overflow, .dropped, .walk_room, .walk_valid, .walk, .walk_take, .walked(walk_done)
        );
    end else begin : gen_no_ramfs
        ramfs_absent ramfs_absent (
            .clock, .dpu(client), .kept, .dpu_busy, .dpu_opcode,
            .engine_request(ramfs_request), .engine_job(ramfs_job), .engine_done(ramfs_done),
            .engine_reply(ramfs_reply), .engine_notify(ramfs_notify), .engine_control(ramfs_control),
            .engine_control_ack(ramfs_control_ack), .storage(ramfs_storage),
            .session, .place_valid, .places, .walk_valid, .walk, .walked(walk_done)
        );
    end

    logic   flush, serve;
    epoch_t epoch;
    logic   tell_valid, tell_ready, told;
    queue_t tell_queue;

    epoch_control epoch_control (
        .clk, .rst, .reset, .device, .flush, .serve, .epoch, .tell_valid, .tell_ready, .tell_queue, .told,
        .engine_control(control), .engine_control_ack(control_ack)
    );

    // ---- errors and counters of all blocks ----

    localparam int unsigned ERRORS = 8 + CURSORS;
    logic [ERRORS-1:0]   error_valid, error_ready;
    error_t [ERRORS-1:0] error;
    count_t [6:0]        count;

    event_join #(.ERRORS(ERRORS), .COUNTS(7)) event_join (
        .clk, .flush, .error_valid, .error_ready, .error,
        .joined_valid(log_valid), .joined_ready(log_ready), .joined(log), .count, .counts
    );

    // ---- doorbells to chains ----

    logic [READ_CLIENTS-1:0]      read_valid, read_ready;
    read_req_t [READ_CLIENTS-1:0] read;
    stream_if #(.DATA_W(DATA_W), .USER_W(1)) read_rsp [READ_CLIENTS] ();

    logic [1:0]      ring_valid, ring_ready;
    read_req_t [1:0] ring_req;
    stream_if #(.DATA_W(DATA_W), .USER_W(1)) ring_rsp [2] ();

    logic                       start_valid, start_ready, started;
    chain_start_t               start;
    logic [RELEASES-1:0]        release_valid;
    write_done_t [RELEASES-1:0] released;
    logic                       done_valid;
    write_done_t                done;
    assign release_valid[RELEASE_USED] = done_valid;
    assign released[RELEASE_USED] = done;

    logic [MAX_QUEUES-1:0]      scheduler_quiet;
    logic                       event_valid, event_ready;
    queue_t                     event_queue;
    logic [15:0]                event_index;
    assign started = start_valid && start_ready;

    logic [CURSORS-1:0]      refetch_valid, refetch_ready, refetched_valid;
    position_t [CURSORS-1:0] refetch;
    refetch_t                refetched;
    logic                    segment_valid, resume_valid, info_valid, walked_valid;
    slot_t                   segment_slot;
    logic [3:0]              segment_index;
    segment_t                segment;
    context_t                resume_ctx;
    position_t               resume;
    chain_info_t             info;
    walked_t                 walked;

    scheduler #(
        .DATA_W(DATA_W), .CONTEXTS(CONTEXTS), .NUM_REQUEST_QUEUES(NUM_REQUEST_QUEUES)
    ) scheduler (
        .clk, .flush, .queues, .device, .serve, .doorbell, .queue_stop, .queue_clear,
        .queue_quiet(scheduler_quiet), .event_valid, .event_ready, .event_queue, .event_index,
        .req_valid(ring_valid[0]), .req_ready(ring_ready[0]), .req(ring_req[0]), .rsp(ring_rsp[0]),
        .start_valid, .start_ready, .start, .info_valid, .info, .release_valid, .released,
        .error_valid(error_valid[0]), .error_ready(error_ready[0]), .error(error[0])
    );

    chain_fetch #(.DATA_W(DATA_W), .CONTEXTS(CONTEXTS)) chain_fetch (
        .clk, .flush, .queues, .device, .queue_stop, .start_valid, .start_ready, .start,
        .refetch_valid, .refetch_ready, .refetch, .refetched_valid, .refetched,
        .req_valid(ring_valid[1]), .req_ready(ring_ready[1]), .req(ring_req[1]), .rsp(ring_rsp[1]),
        .segment_valid, .segment_slot, .segment_index, .segment, .resume_valid, .resume_ctx, .resume,
        .info_valid, .info, .walked_valid, .walked,
        .release_valid(release_valid[RELEASE_FETCH]), .released(released[RELEASE_FETCH]),
        .error_valid(error_valid[1]), .error_ready(error_ready[1]), .error(error[1])
    );

    ring_read_join ring_read_join (
        .clk, .flush, .user_valid(ring_valid), .user_ready(ring_ready), .user_req(ring_req), .user_rsp(ring_rsp),
        .req_valid(read_valid[RD_RING]), .req_ready(read_ready[RD_RING]), .req(read[RD_RING]),
        .rsp(read_rsp[RD_RING])
    );

    // ---- contexts, and the cursors that read their chains ----

    context_t [LOOKS-1:0]    look_ctx;
    chain_info_t [LOOKS-1:0] look_info;
    position_t [CURSORS-1:0] look_resume;
    slot_t [CURSORS-1:0]     window_slot;
    logic [CURSORS-1:0][3:0] window_index;
    segment_t [CURSORS-1:0]  window_segment;

    context_table #(.CONTEXTS(CONTEXTS)) context_table (
        .clk, .info_valid, .info_in(info), .resume_valid, .resume_ctx, .resume_in(resume),
        .segment_valid, .segment_slot, .segment_index, .segment_in(segment),
        .look_ctx, .look_info, .look_resume, .window_slot, .window_index, .window_segment
    );

    logic [CURSORS-1:0]   range_valid, range_ready, piece_valid, piece_ready;
    range_t [CURSORS-1:0] range;
    piece_t [CURSORS-1:0] piece;

    for (genvar c = 0; c < CURSORS; c++) begin : gen_cursor
        chain_cursor #(.CONTEXTS(CONTEXTS), .CURSOR(cursor_e'(c))) chain_cursor (
            .clk, .flush, .range_valid(range_valid[c]), .range_ready(range_ready[c]), .range(range[c]),
            .piece_valid(piece_valid[c]), .piece_ready(piece_ready[c]), .piece(piece[c]),
            .look_ctx(look_ctx[c]), .look_info(look_info[c]), .look_resume(look_resume[c]),
            .window_slot(window_slot[c]), .window_index(window_index[c]), .window_segment(window_segment[c]),
            .refetch_valid(refetch_valid[c]), .refetch_ready(refetch_ready[c]), .refetch(refetch[c]),
            .refetched_valid(refetched_valid[c]), .refetched,
            .error_valid(error_valid[8+c]), .error_ready(error_ready[8+c]), .error(error[8+c])
        );
    end

    // ---- requests to the engine ----

    localparam int unsigned BUFFER_W = $clog2(16 * 1024 * 8 / DATA_W);
    logic                buffer_write, gathered_valid, freed_valid, unread_valid, unread_ready;
    logic [BUFFER_W-1:0] buffer_addr;
    logic [DATA_W-1:0]   buffer_data;
    gathered_t           gathered;
    logic [3:0]          freed;
    context_t            unread;

    header_gather #(.DATA_W(DATA_W)) header_gather (
        .clk, .flush, .walked_valid, .walked, .look_ctx(look_ctx[LOOK_GATHER]), .look_info(look_info[LOOK_GATHER]),
        .range_valid(range_valid[CURSOR_HEADER]), .range_ready(range_ready[CURSOR_HEADER]),
        .range(range[CURSOR_HEADER]), .piece_valid(piece_valid[CURSOR_HEADER]),
        .piece_ready(piece_ready[CURSOR_HEADER]), .piece(piece[CURSOR_HEADER]),
        .req_valid(read_valid[RD_GATHER]), .req_ready(read_ready[RD_GATHER]), .req(read[RD_GATHER]),
        .rsp(read_rsp[RD_GATHER]), .buffer_write, .buffer_addr, .buffer_data, .gathered_valid, .gathered,
        .freed_valid, .freed, .unread_valid, .unread_ready, .unread,
        .error_valid(error_valid[2]), .error_ready(error_ready[2]), .error(error[2])
    );

    logic     sent_valid, sent_init, sending_valid, skipped_valid;
    context_t sent, sending;

    request_sender #(.DATA_W(DATA_W)) request_sender (
        .clk, .rst, .flush, .epoch, .queue_stop, .buffer_write, .buffer_addr, .buffer_data, .gathered_valid, .gathered,
        .freed_valid, .freed, .look_ctx(look_ctx[LOOK_SENDER]), .look_info(look_info[LOOK_SENDER]),
        .sent_valid, .sent, .sent_init, .sending_valid, .sending, .skipped_valid, .engine_request(request),
        .count(count[0])
    );

    // ---- jobs and replies from the engine ----

    logic              mover_valid, mover_ready, mover_word_valid, mover_word_ready;
    mover_cmd_t        mover;
    logic              express_valid, express_ready, express_word_valid, express_word_ready;
    scatter_t          express;
    logic [DATA_W-1:0] reply_word;
    logic [2:0]        job_valid, job_ready;
    job_end_t [2:0]    job;
    logic              replied_valid, replied_init, router_settled, moved_valid;
    context_t          replied;
    queue_t            moved_queue;
    logic [CONTEXTS-1:0] with_engine, parked, held;

    reply_router #(.DATA_W(DATA_W), .CONTEXTS(CONTEXTS)) reply_router (
        .clk, .rst, .flush, .epoch, .sent_valid, .sent, .sent_init, .unread_valid, .unread_ready, .unread,
        .engine_job(jobs), .engine_reply(replies), .look_ctx(look_ctx[LOOK_ROUTER]), .look_info(look_info[LOOK_ROUTER]),
        .mover_valid, .mover_ready, .mover, .mover_word_valid, .mover_word_ready,
        .hi_valid(express_valid), .hi_ready(express_ready), .hi(express),
        .hi_word_valid(express_word_valid), .hi_word_ready(express_word_ready), .word(reply_word),
        .cancelled_valid(job_valid[2]), .cancelled_ready(job_ready[2]), .cancelled(job[2]),
        .drop_valid(release_valid[RELEASE_DROPPED]), .drop(released[RELEASE_DROPPED].ctx), .with_engine,
        .settled(router_settled), .job_valid(moved_valid), .job_queue(moved_queue),
        .replied_valid, .replied, .replied_init,
        .error_valid(error_valid[3]), .error_ready(error_ready[3]), .error(error[3]), .count(count[1])
    );

    logic       mover_active, mover_cmd_valid, mover_cmd_ready;
    lane_e      mover_lane;
    write_cmd_t mover_cmd;
    stream_if #(.DATA_W(DATA_W), .USER_W(1)) mover_data ();

    data_mover #(.DATA_W(DATA_W)) data_mover (
        .clk, .rst, .flush, .in_valid(mover_valid), .in_ready(mover_ready), .in(mover),
        .payload_valid(mover_word_valid), .payload_ready(mover_word_ready), .payload(reply_word),
        .bulk_range_valid(range_valid[CURSOR_BULK]), .bulk_range_ready(range_ready[CURSOR_BULK]),
        .bulk_range(range[CURSOR_BULK]), .bulk_piece_valid(piece_valid[CURSOR_BULK]),
        .bulk_piece_ready(piece_ready[CURSOR_BULK]), .bulk_piece(piece[CURSOR_BULK]),
        .req_valid(read_valid[RD_BULK]), .req_ready(read_ready[RD_BULK]), .req(read[RD_BULK]),
        .rsp(read_rsp[RD_BULK]),
        .range_valid(range_valid[CURSOR_REQ]), .range_ready(range_ready[CURSOR_REQ]), .range(range[CURSOR_REQ]),
        .piece_valid(piece_valid[CURSOR_REQ]), .piece_ready(piece_ready[CURSOR_REQ]), .piece(piece[CURSOR_REQ]),
        .active(mover_active), .lane(mover_lane), .cmd_valid(mover_cmd_valid), .cmd_ready(mover_cmd_ready),
        .cmd(mover_cmd), .data(mover_data),
        .job_valid(job_valid[1:0]), .job_ready(job_ready[1:0]), .job(job[1:0]),
        .error_valid(error_valid[4]), .error_ready(error_ready[4]), .error(error[4]), .storage(memory)
    );

    done_queue #(.SOURCES(3)) done_queue (.clk, .rst, .flush, .epoch, .job_valid, .job_ready, .job, .engine_done(dones));

    logic       express_active, express_cmd_valid, express_cmd_ready;
    write_cmd_t express_cmd;
    stream_if #(.DATA_W(DATA_W), .USER_W(1)) express_data ();

    express_reply #(.DATA_W(DATA_W)) express_reply (
        .clk, .flush, .in_valid(express_valid), .in_ready(express_ready), .in(express),
        .payload_valid(express_word_valid), .payload_ready(express_word_ready), .payload(reply_word),
        .range_valid(range_valid[CURSOR_HI]), .range_ready(range_ready[CURSOR_HI]), .range(range[CURSOR_HI]),
        .piece_valid(piece_valid[CURSOR_HI]), .piece_ready(piece_ready[CURSOR_HI]), .piece(piece[CURSOR_HI]),
        .active(express_active), .cmd_valid(express_cmd_valid), .cmd_ready(express_cmd_ready), .cmd(express_cmd),
        .data(express_data)
    );

    // ---- notifications ----

    logic              deliverable, stored, message_valid, message_send, message_drop, message_busy;
    message_t          message;
    logic              message_word_valid, message_word_ready;
    logic [DATA_W-1:0] message_word;

    logic [15:0] room, reserved;
    logic        settled, steady, lost, lost_inode, placed, repair_valid, repair_take, renewed;
    inval_t      lost_inval;
    repair_t     repair;

    notify_policy #(.DATA_W(DATA_W)) notify_policy (
        .clk, .rst, .flush, .device, .firmware, .renewed, .session,
        .free(room), .settled, .steady, .place_valid, .place_ready, .place_free, .reserved,
        .lost, .lost_inode, .lost_inval, .placed, .repair_valid, .repair,
        .repair_take, .dpu_busy, .dpu_opcode, .dpu_may_begin, .overflow, .dropped, .walk_room,
        .walk_valid, .walk, .walk_take, .walked(walk_done), .count(count[6])
    );

    message_store #(.DATA_W(DATA_W), .BYTES(MESSAGE_STORE_BYTES)) message_store (
        .clk, .rst, .flush, .device, .epoch, .firmware, .session(session.number), .room, .settled, .steady,
        .places, .reserved,
        .lost, .lost_inode, .lost_inval, .placed, .repair_valid, .repair, .repair_take, .mail, .result_valid, .result,
        .engine_notify(notices), .deliverable, .stored, .message_valid, .message, .send(message_send), .drop(message_drop),
        .busy(message_busy), .word_valid(message_word_valid), .word_ready(message_word_ready), .word(message_word),
        .count(count[2])
    );

    logic        notice_valid, notice_ready;
    scatter_t    notice;

    notification_engine #(.CONTEXTS(CONTEXTS)) notification_engine (
        .clk, .rst, .flush, .serve, .device, .start_valid(started), .start, .walked_valid, .walked,
        .look_ctx(look_ctx[LOOK_NTF]), .look_info(look_info[LOOK_NTF]),
        .queue_stop(queue_stop[1]), .queue_clear(queue_clear[1]), .drop_valid(release_valid[RELEASE_DROPPED]),
        .dropped(released[RELEASE_DROPPED].ctx), .parked, .done_valid, .done,
        .replied_valid, .replied, .replied_init, .firmware, .renewed, .session(session.number), .stored, .deliverable,
        .message_valid, .message, .send(message_send), .drop(message_drop), .busy(message_busy),
        .out_valid(notice_valid), .out_ready(notice_ready), .out(notice),
        .error_valid(error_valid[5]), .error_ready(error_ready[5]), .error(error[5]), .count(count[3])
    );

    logic [LANES-1:0]       early_valid, early_ready, cmd_valid, cmd_ready;
    write_cmd_t [LANES-1:0] early, cmd;
    stream_if #(.DATA_W(DATA_W), .USER_W(1)) lane_data [LANES] ();

    scatter_writer #(.DATA_W(DATA_W)) notification_writer (
        .clk, .flush, .in_valid(notice_valid), .in_ready(notice_ready), .in(notice),
        .word_valid(message_word_valid), .word_ready(message_word_ready), .word(message_word),
        .range_valid(range_valid[CURSOR_NTF]), .range_ready(range_ready[CURSOR_NTF]), .range(range[CURSOR_NTF]),
        .piece_valid(piece_valid[CURSOR_NTF]), .piece_ready(piece_ready[CURSOR_NTF]), .piece(piece[CURSOR_NTF]),
        .active(), .lane(), .cmd_valid(early_valid[LANE_NTF]), .cmd_ready(early_ready[LANE_NTF]),
        .cmd(early[LANE_NTF]), .data(lane_data[LANE_NTF]),
        .job_valid(), .job_ready(1'b1), .job()
    );

    // ---- write lanes, reads, and the way out ----

    lane_join lane_join (
        .clk, .flush, .hi_active(express_active), .hi_cmd_valid(express_cmd_valid),
        .hi_cmd_ready(express_cmd_ready), .hi_cmd(express_cmd), .hi_data(express_data),
        .mover_active, .mover_lane, .mover_cmd_valid, .mover_cmd_ready, .mover_cmd, .mover_data,
        .hi_lane_valid(early_valid[LANE_HI]), .hi_lane_ready(early_ready[LANE_HI]), .hi_lane_cmd(early[LANE_HI]),
        .hi_lane_data(lane_data[LANE_HI]), .req_lane_valid(early_valid[LANE_REQ]),
        .req_lane_ready(early_ready[LANE_REQ]), .req_lane_cmd(early[LANE_REQ]), .req_lane_data(lane_data[LANE_REQ])
    );

    used_order #(.CONTEXTS(CONTEXTS)) used_order (
        .clk, .flush, .in_order(device.in_order), .queue_stop, .queue_clear, .start_valid(started), .start,
        .in_valid(early_valid), .in_ready(early_ready), .in(early),
        .out_valid(cmd_valid), .out_ready(cmd_ready), .out(cmd),
        .drop_valid(release_valid[RELEASE_DROPPED]), .drop(released[RELEASE_DROPPED].ctx), .held
    );

    // ---- resets of queues ----

    logic                  moved_end_valid;
    context_t              moved_end;
    logic [MAX_QUEUES-1:0] interrupt_quiet;
    assign moved_end_valid = (job_valid[1:0] & job_ready[1:0]) != 0;
    assign moved_end = job_valid[0] && job_ready[0] ? job[0].ctx : job[1].ctx;

    queue_reset #(.CONTEXTS(CONTEXTS)) queue_reset (
        .clk, .flush, .request(queue_reset_request), .queue_stop, .queue_disable, .queue_clear,
        .queue_quiet(scheduler_quiet & interrupt_quiet), .message_idle(!interrupt.valid), .start_valid(started), .start,
        .release_valid, .released, .resting(with_engine | parked | held), .sending_valid, .sending,
        .skipped_valid, .skipped(sending), .job_valid(moved_valid), .job_queue(moved_queue),
        .job_end_valid(moved_end_valid), .job_end(moved_end), .tell_valid, .tell_ready, .tell_queue, .told,
        .settled(router_settled), .drop_valid(release_valid[RELEASE_DROPPED]), .drop(released[RELEASE_DROPPED])
    );

    tlp_if #(.DATA_W(DATA_W)) posted ();
    tlp_if #(.DATA_W(DATA_W)) reads ();

    write_lanes #(.DATA_W(DATA_W)) write_lanes (
        .clk, .rst, .pci, .reset, .queues, .device, .cmd_valid, .cmd_ready, .cmd, .data(lane_data),
        .done_valid, .done, .queue_stop, .queue_clear, .queue_quiet(interrupt_quiet),
        .event_valid, .event_ready, .event_queue, .event_index,
        .sup_valid(read_valid[RD_SUPPRESS]), .sup_ready(read_ready[RD_SUPPRESS]), .sup(read[RD_SUPPRESS]),
        .sup_rsp(read_rsp[RD_SUPPRESS]), .irq_valid, .irq_ready, .irq_queue,
        .error_valid(error_valid[6]), .error_ready(error_ready[6]), .error(error[6]),
        .rq(posted), .idle(lanes_idle), .count(count[4])
    );

    dma_read #(.DATA_W(DATA_W)) dma_read (
        .clk, .rst, .pci, .reset, .req_valid(read_valid), .req_ready(read_ready), .req(read), .rsp(read_rsp),
        .rq(reads), .rc, .rq_np_ok, .idle(reads_idle),
        .error_valid(error_valid[7]), .error_ready(error_ready[7]), .error(error[7]),
        .completion_error, .count(count[5])
    );

    rq_arbiter #(.DATA_W(DATA_W)) rq_arbiter (
        .clk, .rst, .reset, .posted, .messages(interrupt), .reads, .rq_np_ok, .rq, .posted_granted, .posted_sent,
        .idle(arbiter_idle)
    );
endmodule
// verilator lint_on PINCONNECTEMPTY
