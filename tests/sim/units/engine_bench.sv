// The ramfs engine with plain ports: its streams and its storage are the harness's business.
module engine_bench
    import ramfs_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned INODES = 1024,
    parameter int unsigned PAGES = 1024,
    parameter int unsigned ENTRIES = 2 * INODES,
    parameter int unsigned CELLS = 4 * INODES
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
    output logic [DATA_W-1:0]         storage_rdata
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
    assign engine_notify.ready = 1'b1;

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

    endpoint_pkg::device_state_t device;
    always_comb begin
        device = '0;
        device.valid_seconds = valid_seconds;
        device.cache_options = cache_options;
    end

    ramfs_engine #(.DATA_W(DATA_W), .INODES(INODES), .PAGES(PAGES), .ENTRIES(ENTRIES), .CELLS(CELLS)) engine (
        .clk, .rst, .clock, .device, .engine_request, .engine_job, .engine_done, .engine_reply, .engine_notify,
        .engine_control, .engine_control_ack, .storage
    );
endmodule
