// The file system in hardware (docs/file-system.md): requests of the endpoint in, replies and mover jobs out. A request
// goes through the phases of the sequencer; FORGET, BATCH_FORGET and INTERRUPT overtake on the express path. A SETLKW
// may leave it and wait.
//
// Not every output is of use. Records are taken whole; not every field counts here.
// verilator lint_off PINCONNECTEMPTY
// verilator lint_off UNUSEDSIGNAL
module ramfs_engine
    import dpu_pkg::*, endpoint_pkg::*, notify_pkg::*, ramfs_pkg::*, ramfs_core_pkg::*, ramfs_message_pkg::*,
        ramfs_row_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned INODES = 1024,
    parameter int unsigned PAGES = 1024,
    parameter int unsigned ENTRIES = 2 * INODES,
    parameter int unsigned CELLS = 4 * INODES,
    parameter int unsigned LOCKS = 64,
    parameter int unsigned LOCK_WAITS = 8
) (
    input  logic   clk,
    input  logic   rst,
    input  time_t  clock,
    input  device_state_t device,
    stream_if.snk  engine_request,
    stream_if.src  engine_job,
    stream_if.snk  engine_done,
    stream_if.src  engine_reply,
    stream_if.src  engine_notify,
    stream_if.snk  engine_control,
    stream_if.src  engine_control_ack,
    storage_if.slv storage,
    retrieved_if.engine kept,            // NOTIFY_REPLY, for the DPU
    // What happens when the message store is full: notify_policy.
    output session_t session,
    output logic     place_valid,
    input  logic     place_ready,
    input  logic     place_free,
    output logic [5:0] places,
    input  logic     overflow,
    input  logic     dropped,
    input  logic     walk_room,
    output logic     walk_valid,
    output repair_t  walk,
    input  logic     walk_take,
    output logic     walked
);
    localparam int unsigned HEAD_W = $clog2(HEAD_BYTES * 8 / DATA_W);

    // ---- requests ----

    logic              mark, passed, waits_valid, waits_ready, waits_done, locks_quiet;
    logic [3:0]        forget_queue;
    logic              main_valid, main_take, express_valid, express_take;
    engine_request_t   request, express_request;
    logic [HEAD_W-1:0] main_addr, load_addr, name_addr, keep_addr, express_addr;
    logic [DATA_W-1:0] main_data, express_data;
    logic              loading, keeping;
    assign main_addr = loading ? load_addr : keeping ? keep_addr : name_addr;

    ramfs_intake #(.DATA_W(DATA_W)) ramfs_intake (
        .clk, .rst, .engine_request, .main_valid, .main_take, .main(request), .main_addr, .main_data,
        .express_valid, .express_take, .express(express_request), .express_addr, .express_data, .mark, .passed
    );

    // ---- resets and the session ----

    epoch_t epoch;
    logic   reset_pending, reset_finish, session_finish, session_done, session_begin, renew, active, ending;
    logic   tables_ready, nodes_ready, names_ready, pages_ready;
    logic   idle, reaping, sequencer_finish;
    assign tables_ready = nodes_ready && names_ready && pages_ready;
    assign session_finish = reset_finish || sequencer_finish;

    ramfs_control ramfs_control (
        .clk, .rst, .engine_control, .engine_control_ack, .epoch, .pending(reset_pending),
        .idle(idle && tables_ready && !reaping), .finish(reset_finish), .finished(session_done),
        .mark, .passed, .forget_valid(waits_valid), .forget_ready(waits_ready), .forget_queue, .forget_done(waits_done),
        .quiet(locks_quiet)
    );

    logic [3:0]      node_valid_of, node_ready_of;
    node_cmd_t [3:0] node_of;
    logic            node_done, node_buried;
    node_t           node_rsp;

    logic            end_valid, end_ready, end_done;
    body_t           body;
    init_in_t        init;
    poll_in_t        polled;
    assign polled = poll_in_t'(body[191:0]);
    assign init = init_in_t'(body[127:0]);
    ramfs_session #(.INODES(INODES)) ramfs_session (
        .clk, .rst, .finish(session_finish), .done(session_done), .pending(reset_pending), .renew,
        .begin_new(session_begin), .epochs(init.minor >= MINOR_OF_EPOCHS), .active, .ending, .session,
        .lock_valid(end_valid), .lock_ready(end_ready), .lock_done(end_done), .lock_quiet(locks_quiet),
        .node_valid(node_valid_of[0]), .node_ready(node_ready_of[0]), .node(node_of[0]), .node_done
    );

    // ---- the phases ----

    in_header_t       header;
    row_t             row;
    time_t            now;
    logic             parse_valid, parse_ready, parsed, parse_done;
    name_info_t [1:0] names;
    logic [10:0]      names_end;
    logic             swapped;
    verdict_t         check_verdict, judge_verdict, verdict;
    logic             find, find_done, act, act_done, reply, reply_done, list_valid, list_ready, listing_on;
    logic             list_done, listed;
    logic [12:0]      list_bytes;
    list_cmd_t        list;
    logic             lock, lock_done, lock_parked, lock_waits, keeps, keep, keep_done;
    lock_t            lock_found;
    logic             announce, announce_done;
    errno_e           find_error, lock_error, act_error, announce_error;
    found_t           found;

    ramfs_sequencer #(.DATA_W(DATA_W)) ramfs_sequencer (
        .clk, .rst, .ready(tables_ready && !reaping), .pending(reset_pending), .epoch, .clock,
        .valid_seconds(device.valid_seconds), .idle,
        .valid(main_valid), .take(main_take), .request, .loading, .load_addr, .load_data(main_data),
        .header, .body, .row, .now, .parse_valid, .parse_ready, .parsed, .parse_done, .check(check_verdict),
        .find, .find_done, .find_error, .found, .judge(judge_verdict),
        .finish(sequencer_finish), .finished(session_done), .renew, .begin_new(session_begin),
        .lock, .lock_done, .lock_error, .lock_parked, .lock_waits, .keeps, .keep, .keep_done,
        .act, .act_done, .act_error, .announce, .announce_done, .announce_error,
        .list_valid, .list_ready, .list, .listing(listing_on), .list_done,
        .reply, .verdict, .listed, .reply_done
    );

    ramfs_check ramfs_check (.request, .header, .body, .row, .active, .parsed, .names, .names_end, .swapped,
        .keeps, .verdict(check_verdict));

    ramfs_keeper #(.DATA_W(DATA_W)) ramfs_keeper (
        .clk, .rst, .start(keep), .done(keep_done), .request, .reads(keeping), .addr(keep_addr), .data(main_data), .kept
    );

    logic [1:0]      name_valid_of, name_ready_of;
    name_cmd_t [1:0] name_of;
    logic            name_done;
    name_rsp_t       name_rsp;

    ramfs_finder #(.INODES(INODES)) ramfs_finder (
        .clk, .rst, .start(find), .row, .header, .body, .names, .negative(device.cache_options[OPTION_NEGATIVE_ENTRIES] && !is_of_dpu(request)),
        .done(find_done), .error(find_error), .found,
        .node_valid(node_valid_of[1]), .node_ready(node_ready_of[1]), .node(node_of[1]), .node_done, .node_rsp,
        .name_valid(name_valid_of[0]), .name_ready(name_ready_of[0]), .name(name_of[0]), .name_done, .name_rsp
    );

    logic        slot_valid;
    logic [1:0]  fits;
    pages_t      free_pages;
    logic [12:0] free_slots;

    ramfs_judge ramfs_judge (.request, .header, .body, .row, .found, .free_slot(slot_valid), .fits, .free_pages,
        .verdict(judge_verdict));

    node_slot_t         slot, fresh, subject;
    window_t            window;
    logic [1:0]         step;
    logic               paged, failed;
    pages_t             pages;
    logic               plan_page_valid, plan_job_valid, plan_name_valid, plan_node_valid, mapped;
    logic [31:0]        job_offset, data_length;
    logic [1:0]         page_valid_of, page_ready_of;
    page_cmd_t [1:0]    page_of;
    logic               page_done;
    page_rsp_t          page_rsp;
    logic               slot_take;
    logic [WINDOWS-1:0] window_busy, window_release, window_kept;
    mover_job_t         job;
    mover_done_t        job_end;

    ramfs_plan ramfs_plan (
        .request, .header, .body, .row, .found, .names_end, .now, .fresh, .window, .paged, .pages, .failed, .step,
        .page_valid(plan_page_valid), .page(page_of[0]), .job_valid(plan_job_valid), .job_offset,
        .name_valid(plan_name_valid), .name(name_of[1]), .node_valid(plan_node_valid), .node(node_of[2]),
        .subject, .mapped, .length(data_length)
    );

    ramfs_actor ramfs_actor (
        .clk, .rst, .start(act), .request, .done(act_done), .error(act_error), .window,
        .step, .paged, .pages, .failed, .plan_page_valid, .plan_page(page_of[0]), .plan_job_valid,
        .plan_job_offset(job_offset), .plan_job_length(data_length), .plan_name_valid, .plan_node_valid,
        .plan_node(node_of[2]), .slot, .slot_take, .fresh,
        .page_valid(page_valid_of[0]), .page_ready(page_ready_of[0]), .page_done, .page_rsp,
        .name_valid(name_valid_of[1]), .name_ready(name_ready_of[1]), .name_done,
        .node_valid(node_valid_of[2]), .node_ready(node_ready_of[2]), .node_done,
        .abandon(reset_pending), .job_valid(engine_job.valid), .job_ready(engine_job.ready), .job,
        .done_valid(engine_done.valid), .job_end, .window_busy, .window_release, .window_kept
    );

    // ---- what inodes leave behind ----

    logic       grave_valid, grave_ready, slot_give;
    node_slot_t grave, given;
    ramfs_reaper ramfs_reaper (
        .clk, .rst, .enable(idle && tables_ready && !ending), .busy(reaping), .grave_valid, .grave_ready, .grave,
        .node_valid(node_valid_of[3]), .node_ready(node_ready_of[3]), .node(node_of[3]), .node_done, .node_buried,
        .node_rsp, .page_valid(page_valid_of[1]), .page_ready(page_ready_of[1]), .page(page_of[1]), .page_done,
        .slot_give, .slot(given)
    );

    // ---- locks ----

    logic        interrupt_valid, interrupt_done, interrupt_found;
    logic [63:0] interrupt_id;
    logic        lock_place, poll_place;
    logic [5:0]  lock_places, poll_places;
    assign place_valid = lock_place || poll_place;
    assign places = lock_places + poll_places;
    stream_if #(.DATA_W(DATA_W)) lock_reply ();
    stream_if #(.DATA_W(DATA_W)) lock_notify ();
    ramfs_locks #(.DATA_W(DATA_W), .LOCKS(LOCKS), .LOCK_WAITS(LOCK_WAITS)) ramfs_locks (
        .clk, .rst, .epoch, .start(lock), .done(lock_done), .error(lock_error), .parked(lock_parked),
        .waits(lock_waits), .found_lock(lock_found), .over(main_take), .request, .header, .body, .row, .found,
        .end_valid, .end_ready, .end_silent(reset_pending), .end_done, .quiet(locks_quiet),
        .forget_valid(waits_valid), .forget_ready(waits_ready), .forget_queue, .forget_done(waits_done),
        .in_order(device.in_order),
        .messages(device.notification && device.cache_options[OPTION_LOCK_MESSAGES]), .place_valid(lock_place),
        .place_ready, .place_free, .places(lock_places), .notify(lock_notify),
        .interrupt_valid, .interrupt_id, .interrupt_done, .interrupt_found, .reply(lock_reply)
    );

    // ---- what the session is told ----

    logic        name_read, name_which;
    logic [2:0]  name_index;
    logic        peek_valid, peek_ready;
    node_slot_t  peek_slot;
    node_t       peek_node;
    name_pkg::cell_bytes_t name_bytes;
    logic        of_dpu, announced, contents;
    node_slot_t  contents_slot;
    stream_if #(.DATA_W(DATA_W)) poll_notify ();
    stream_if #(.DATA_W(DATA_W)) announcement ();
    assign of_dpu = is_of_dpu(request);
    ramfs_announcer #(.DATA_W(DATA_W)) ramfs_announcer (
        .clk, .rst, .start(announce && of_dpu), .done(announced), .contents, .contents_slot,
        .listens(session.active && device.notification && device.driver_ok), .epoch, .header, .body, .row, .found,
        .names, .bytes_read(name_read), .bytes_which(name_which), .bytes_index(name_index), .bytes(name_bytes),
        .out(announcement)
    );
    ramfs_polls #(.DATA_W(DATA_W)) ramfs_polls (
        .clk, .rst, .clear(end_valid && end_ready), .start(announced || (announce && !of_dpu)), .done(announce_done),
        .error(announce_error), .listens(device.notification), .epoch, .body, .row, .found,
        .changed(of_dpu && contents), .changed_slot(contents_slot), .place_valid(poll_place), .place_ready, .place_free,
        .places(poll_places), .notify(poll_notify)
    );
    ramfs_notify_join ramfs_notify_join (
        .clk, .rst, .locks(lock_notify), .polls(poll_notify), .announced(announcement), .out(engine_notify)
    );
    ramfs_recovery #(.INODES(INODES)) ramfs_recovery (
        .clk, .rst, .session, .overflow, .dropped, .room(walk_room), .peek_valid, .peek_ready, .peek_slot, .peek_node,
        .valid(walk_valid), .repair(walk), .take(walk_take), .walked
    );

    // ---- the express path ----

    logic    forget_valid, forget_ready;
    forget_t forget;
    stream_if #(.DATA_W(DATA_W)) express_reply ();
    ramfs_express #(.DATA_W(DATA_W), .INODES(INODES)) ramfs_express (
        .clk, .rst, .ready(tables_ready), .epoch, .active, .ending, .valid(express_valid), .take(express_take),
        .request(express_request), .addr(express_addr), .data(express_data), .forget_valid, .forget_ready, .forget,
        .interrupt_valid, .interrupt_id, .interrupt_done, .interrupt_found,
        .reply(express_reply)
    );

    // ---- inodes, names, pages ----

    logic       node_valid, node_ready, name_valid, name_ready, page_valid, page_ready;
    node_cmd_t  node;
    name_cmd_t  name;
    page_cmd_t  page;
    ramfs_command_join ramfs_command_join (
        .node_valid_of, .node_ready_of, .node_of, .node_valid, .node_ready, .node,
        .name_valid_of, .name_ready_of, .name_of, .name_valid, .name_ready, .name,
        .page_valid_of, .page_ready_of, .page_of, .page_valid, .page_ready, .page
    );

    logic       hold, holding, lister_valid, lister_ready, lister_write;
    node_slot_t lister_slot;
    node_t      lister_wdata, lister_rdata;
    node_table #(.INODES(INODES)) node_table (
        .clk, .rst, .ready(nodes_ready), .cmd_valid(node_valid), .cmd_ready(node_ready), .cmd(node),
        .rsp_valid(node_done), .rsp(node_rsp), .rsp_buried(node_buried), .forget_valid, .forget_ready, .forget,
        .listing(listing_on), .hold, .holding, .list_valid(lister_valid), .list_ready(lister_ready),
        .list_write(lister_write), .list_slot(lister_slot), .list_wdata(lister_wdata), .list_rdata(lister_rdata),
        .peek_valid, .peek_ready, .peek_slot, .peek_node,
        .grave_valid, .grave_ready, .grave
    );

    slot_queue #(.COUNT(INODES), .SLOT_W(12), .FIRST(2)) node_slots (
        .clk, .rst, .slot_valid, .slot, .take(slot_take), .give(slot_give), .given, .free(free_slots)
    );

    stream_if #(.DATA_W(DATA_W)) listing ();
    name_unit #(.DATA_W(DATA_W), .INODES(INODES), .ENTRIES(ENTRIES), .CELLS(CELLS)) name_unit (
        .clk, .rst, .ready(names_ready),
        .parse_valid, .parse_ready, .parse_from(11'(row.bytes)), .parse_two(row.names == NAMES_TO_RENAME),
        .parse_end(request.head_bytes[10:0]), .parsed_valid(parse_done), .names, .parse_next(names_end),
        .head_read(), .head_addr(name_addr), .head_data(main_data),
        .cmd_valid(name_valid), .cmd_ready(name_ready), .cmd(name), .rsp_valid(name_done), .rsp(name_rsp), .fits,
        .list_valid, .list_ready, .list, .list_done, .list_bytes, .hold, .holding, .listing,
        .node_valid(lister_valid), .node_ready(lister_ready), .node_write(lister_write), .node_slot(lister_slot),
        .node_wdata(lister_wdata), .node_rdata(lister_rdata),
        .read_name(name_read), .read_which(name_which), .read_index(name_index), .name_bytes
    );

    page_unit #(.DATA_W(DATA_W), .INODES(INODES), .PAGES(PAGES)) page_unit (
        .clk, .rst, .ready(pages_ready), .cmd_valid(page_valid), .cmd_ready(page_ready), .cmd(page),
        .rsp_valid(page_done), .rsp(page_rsp), .hold(1'b0), .holding(), .free_pages,
        .window_busy, .window_release(window_release | ({WINDOWS{reset_pending}} & ~window_kept)), .storage
    );

    // ---- replies and jobs ----

    stream_if #(.DATA_W(DATA_W)) main_reply ();
    ramfs_reply #(.DATA_W(DATA_W), .INODES(INODES), .PAGES(PAGES)) ramfs_reply (
        .clk, .rst, .start(reply), .done(reply_done), .request, .header, .init,
        .format(row.reply), .verdict, .swapped, .slot(subject), .node(node_rsp),
        .missing(row.act == ACT_LOOKUP && !found.first.found), .valid_seconds(device.valid_seconds),
        .keep_cache(device.cache_options[OPTION_KEEP_CACHE]), .in_order(device.in_order), .lock(lock_found),
        .revents(polled.events & POLL_READY), .free_slots,
        .free_pages, .written(data_length),
        .stored(mapped), .stored_address(job.address), .stored_length(data_length),
        .listed, .listed_bytes(list_bytes), .listing, .out(main_reply)
    );
    ramfs_reply_join ramfs_reply_join (
        .clk, .rst, .main(main_reply), .locks(lock_reply), .express(express_reply), .out(engine_reply)
    );

    assign job_end = mover_done_t'(engine_done.user);
    assign engine_done.ready = 1'b1;
    assign engine_job.last = 1'b1;
    assign engine_job.data = '0;
    assign engine_job.bytes = '0;
    assign engine_job.user = job;
endmodule
// verilator lint_on UNUSEDSIGNAL
// verilator lint_on PINCONNECTEMPTY
// verilator lint_on UNUSEDSIGNAL
