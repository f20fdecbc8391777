// The ramfs engine and the store of its messages with plain ports: streams and storage are the harness's business.
module engine_bench
    import endpoint_pkg::*, pcie_pkg::access_t, pipeline_pkg::*, notify_pkg::*, ramfs_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned INODES = 1024,
    parameter int unsigned PAGES = 1024,
    parameter int unsigned ENTRIES = 2 * INODES,
    parameter int unsigned CELLS = 4 * INODES,
    parameter int unsigned STORE = 2048         // bytes of messages
) (
    input  logic                      clk,
    input  logic                      rst,
    input  logic [63:0]               seconds,
    input  logic [31:0]               nanoseconds,
    input  logic [31:0]               valid_seconds,
    input  logic [2:0]                cache_options,
    input  logic                      request_valid,
    output logic                      request_ready,
    input  logic                      request_last,
    input  logic [DATA_W-1:0]         request_data,
    input  logic [$clog2(DATA_W/8):0] request_bytes,
    input  logic [127:0]              request_user,
    output logic                      job_valid,
    input  logic                      job_ready,
    output logic [127:0]              job_user,
    input  logic                      done_valid,
    input  logic [127:0]              done_user,
    output logic                      reply_valid,
    input  logic                      reply_ready,
    output logic                      reply_last,
    output logic [DATA_W-1:0]         reply_data,
    output logic [$clog2(DATA_W/8):0] reply_bytes,
    output logic [127:0]              reply_user,
    input  logic                      control_valid,
    output logic                      control_ready,
    input  logic [127:0]              control_user,
    output logic                      ack_valid,
    input  logic                      ack_ready,
    output logic [127:0]              ack_user,
    input  logic                      storage_valid,
    output logic                      storage_ready,
    input  logic                      storage_write,
    input  logic [31:0]               storage_addr,
    input  logic [DATA_W-1:0]         storage_wdata,
    input  logic [DATA_W/8-1:0]       storage_wstrb,
    output logic                      storage_rvalid,
    output logic [DATA_W-1:0]         storage_rdata,
    // Notifications.
    input  logic                      listens,      // negotiated, and DRIVER_OK
    input  logic [1:0]                policy,
    input  logic [3:0]                epoch,
    input  logic                      dpu_busy,
    input  logic [31:0]               dpu_opcode,
    output logic                      dpu_may_begin,
    output logic [15:0]               room,         // words of the store
    output logic [5:0]                places,       // that are kept in it
    input  logic                      access_valid, // of the registers of what is kept for the DPU
    input  logic                      access_write,
    input  logic [12:0]               access_addr,  // of a dword
    output logic [31:0]               rdata,
    input  logic                      firmware,     // gives messages in the engine's place
    input  logic                      renewed,      // a session of it has begun
    input  logic                      notice_valid, // it gives this one; its bytes are on the mail's ports
    output logic                      notice_ready,
    input  logic [7:0]                notice_class,
    input  logic                      mail_valid,
    output logic                      mail_ready,
    input  logic                      mail_last,
    input  logic [DATA_W-1:0]         mail_data,
    input  logic [$clog2(DATA_W/8):0] mail_bytes,
    input  logic [31:0]               mail_length,
    output logic                      mail_answered,
    output logic [1:0]                mail_result,
    output logic                      message_valid,
    output logic [15:0]               message_length,
    output logic                      message_stored,
    output logic                      message_outdated,
    input  logic                      message_send,
    output logic                      word_valid,
    output logic [DATA_W-1:0]         word,
    output logic                      overflow,
    output logic                      counts_dropped,
    output logic                      counts_coalesced
);
    stream_if #(.DATA_W(DATA_W)) engine_request ();
    stream_if #(.DATA_W(DATA_W)) engine_job ();
    stream_if #(.DATA_W(DATA_W)) engine_done ();
    stream_if #(.DATA_W(DATA_W)) engine_reply ();
    stream_if #(.DATA_W(DATA_W)) engine_notify ();
    stream_if #(.DATA_W(DATA_W)) engine_control ();
    stream_if #(.DATA_W(DATA_W)) engine_control_ack ();
    storage_if #(.DATA_W(DATA_W)) storage ();

    assign engine_request.valid = request_valid;
    assign engine_request.last = request_last;
    assign engine_request.data = request_data;
    assign engine_request.bytes = request_bytes;
    assign engine_request.user = request_user;
    assign request_ready = engine_request.ready;

    assign job_valid = engine_job.valid;
    assign job_user = engine_job.user;
    assign engine_job.ready = job_ready;
    assign engine_done.valid = done_valid;
    assign engine_done.last = 1'b1;
    assign engine_done.data = '0;
    assign engine_done.bytes = '0;
    assign engine_done.user = done_user;

    assign reply_valid = engine_reply.valid;
    assign reply_last = engine_reply.last;
    assign reply_data = engine_reply.data;
    assign reply_bytes = engine_reply.bytes;
    assign reply_user = engine_reply.user;
    assign engine_reply.ready = reply_ready;

    assign engine_control.valid = control_valid;
    assign engine_control.last = 1'b1;
    assign engine_control.data = '0;
    assign engine_control.bytes = '0;
    assign engine_control.user = control_user;
    assign control_ready = engine_control.ready;
    assign ack_valid = engine_control_ack.valid;
    assign ack_user = engine_control_ack.user;
    assign engine_control_ack.ready = ack_ready;

    assign storage.valid = storage_valid;
    assign storage.write = storage_write;
    assign storage.addr = storage_addr;
    assign storage.wdata = storage_wdata;
    assign storage.wstrb = storage_wstrb;
    assign storage_ready = storage.ready;
    assign storage_rvalid = storage.rvalid;
    assign storage_rdata = storage.rdata;

    time_t clock;
    assign clock = {seconds, nanoseconds};

    device_state_t device;
    session_t      session;
    repair_t       walk, repair;
    inval_t        lost_inval;
    message_t      message;
    count_t        counts;
    logic          dropped, walk_room, walk_valid, walk_take, walked, settled, lost, lost_inode, placed;
    logic          repair_valid, repair_take, steady, place_valid, place_ready, place_free;
    logic [15:0]   reserved;
    always_comb begin
        device = '0;
        device.driver_ok = listens;
        device.notification = listens;
        device.notify_policy = policy;
        device.notify_buf_size = 32'd296;
        device.valid_seconds = valid_seconds;
        device.cache_options = cache_options;
    end

    retrieved_if #(.DATA_W(DATA_W)) kept ();
    access_t access;
    always_comb begin
        access = '0;
        access.valid = access_valid;
        access.write = access_write;
        access.addr = access_addr;
    end
    retrieved_mailbox #(.DATA_W(DATA_W)) mailbox_unit (.clk, .rst, .access, .rdata, .kept);
    ramfs_engine #(.DATA_W(DATA_W), .INODES(INODES), .PAGES(PAGES), .ENTRIES(ENTRIES), .CELLS(CELLS)) engine (
        .clk, .rst, .clock, .device, .engine_request, .engine_job, .engine_done, .engine_reply, .engine_notify,
        .engine_control, .engine_control_ack, .storage, .kept,
        .session, .place_valid, .place_ready, .place_free, .places, .overflow, .dropped, .walk_room, .walk_valid, .walk, .walk_take, .walked
    );

    notify_policy #(.DATA_W(DATA_W)) rules (
        .clk, .rst, .flush(rst), .device, .firmware, .renewed, .session,
        .free(room), .settled, .steady, .place_valid, .place_ready, .place_free, .reserved, .lost, .lost_inode, .lost_inval, .placed, .repair_valid, .repair,
        .repair_take, .dpu_busy, .dpu_opcode, .dpu_may_begin, .overflow, .dropped, .walk_room, .walk_valid,
        .walk, .walk_take, .walked, .count(counts)
    );
    assign counts_dropped = counts[COUNT_NOTIFY_DROPPED];
    assign counts_coalesced = counts[COUNT_NOTIFY_COALESCED];

    stream_if #(.DATA_W(DATA_W)) mail ();
    engine_notify_t mail_user;
    always_comb begin
        mail_user = '0;
        mail_user.length = mail_length;
    end
    assign mail.valid = mail_valid;
    assign mail.last = mail_last;
    assign mail.data = mail_data;
    assign mail.bytes = mail_bytes;
    assign mail.user = mail_user;
    assign mail_ready = mail.ready;

    stream_if #(.DATA_W(DATA_W)) own_notify ();
    stream_if #(.DATA_W(DATA_W)) notices ();
    engine_notify_t notice_user;
    always_comb begin
        notice_user = mail_user;
        notice_user.epoch = 8'(epoch);
        notice_user.msg_class = notice_class;
    end
    assign own_notify.valid = notice_valid;
    assign own_notify.last = mail_last;
    assign own_notify.data = mail_data;
    assign own_notify.bytes = mail_bytes;
    assign own_notify.user = notice_user;
    assign notice_ready = own_notify.ready;
    stream_pick2 #(.DATA_W(DATA_W)) pick (.second(firmware), .in0(engine_notify), .in1(own_notify), .out(notices));

    notify_result_e result;
    assign mail_result = result;
    message_store #(.DATA_W(DATA_W), .BYTES(STORE)) store (
        .clk, .rst, .flush(rst), .device, .epoch, .firmware, .session(session.number), .room, .settled, .steady, .places, .reserved,
        .lost, .lost_inode, .lost_inval, .placed, .repair_valid, .repair, .repair_take, .mail,
        .result_valid(mail_answered), .result, .engine_notify(notices), .deliverable(1'b0), .stored(message_stored),
        .message_valid, .message, .send(message_send), .drop(1'b0), .busy(), .word_valid, .word_ready(1'b1), .word,
        .count()
    );
    assign message_length = message.length;
    assign message_outdated = message.announced && message.session != session.number;
endmodule
