// The DPU's FUSE mailbox with the file system behind it, and a driver that only reads storage: register accesses in,
// answers out.
module mailbox_bench
    import endpoint_pkg::*, pcie_pkg::access_t, ramfs_pkg::time_t;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned INODES = 16,
    parameter int unsigned PAGES = 32,
    parameter int unsigned CELLS = 40
) (
    input  logic        clk,
    input  logic        rst,
    input  logic        access_valid,
    input  logic        access_write,
    input  logic [12:0] access_addr,        // of a dword
    input  logic [31:0] access_data,
    output logic [31:0] rdata,
    output logic        fail,
    input  logic        firmware,
    input  logic        may_begin,
    input  logic        host_valid,
    input  logic [31:0] host_addr,
    output logic        host_ready,
    output logic        host_rvalid
);
    access_t access;
    always_comb begin
        access = '0;
        access.valid = access_valid;
        access.write = access_write;
        access.addr = access_addr;
        access.be = '1;
        access.data = access_data;
    end

    dpu_client_if #(.DATA_W(DATA_W)) client ();
    retrieved_if #(.DATA_W(DATA_W)) kept ();
    assign kept.full = 1'b0;
    fuse_mailbox #(.DATA_W(DATA_W)) mailbox_unit (.clk, .rst, .access, .rdata, .fail, .firmware, .client);

    stream_if #(.DATA_W(DATA_W)) host_request ();
    stream_if #(.DATA_W(DATA_W)) host_job ();
    stream_if #(.DATA_W(DATA_W)) host_done ();
    stream_if #(.DATA_W(DATA_W)) host_reply ();
    stream_if #(.DATA_W(DATA_W)) engine_request ();
    stream_if #(.DATA_W(DATA_W)) engine_job ();
    stream_if #(.DATA_W(DATA_W)) engine_done ();
    stream_if #(.DATA_W(DATA_W)) engine_reply ();
    stream_if #(.DATA_W(DATA_W)) engine_notify ();
    stream_if #(.DATA_W(DATA_W)) engine_control ();
    stream_if #(.DATA_W(DATA_W)) engine_control_ack ();
    storage_if #(.DATA_W(DATA_W)) host_storage ();
    storage_if #(.DATA_W(DATA_W)) storage ();

    assign host_request.valid = 1'b0;
    assign host_request.last = 1'b0;
    assign host_request.data = '0;
    assign host_request.bytes = '0;
    assign host_request.user = '0;
    assign host_done.valid = 1'b0;
    assign host_done.last = 1'b0;
    assign host_done.data = '0;
    assign host_done.bytes = '0;
    assign host_done.user = '0;
    assign host_job.ready = 1'b1;
    assign host_reply.ready = 1'b1;
    assign engine_notify.ready = 1'b1;
    assign engine_control.valid = 1'b0;
    assign engine_control.last = 1'b0;
    assign engine_control.data = '0;
    assign engine_control.bytes = '0;
    assign engine_control.user = '0;
    assign engine_control_ack.ready = 1'b1;
    assign host_storage.valid = host_valid;
    assign host_storage.write = 1'b0;
    assign host_storage.addr = host_addr;
    assign host_storage.wdata = '1;
    assign host_storage.wstrb = '0;
    assign host_ready = host_storage.ready;
    assign host_rvalid = host_storage.rvalid;

    ramfs_clients #(.DATA_W(DATA_W)) clients (
        .clk, .rst, .dpu(client), .dpu_busy(), .dpu_opcode(), .dpu_may_begin(may_begin), .host_request, .host_job,
        .host_done, .host_reply, .host_storage, .engine_request, .engine_job, .engine_done, .engine_reply, .storage
    );

    time_t         clock;
    device_state_t device;
    assign clock = '0;
    always_comb begin
        device = '0;
        device.valid_seconds = 32'd1;
    end
    ramfs_engine #(.DATA_W(DATA_W), .INODES(INODES), .PAGES(PAGES), .CELLS(CELLS)) engine (
        .clk, .rst, .clock, .device, .engine_request, .engine_job, .engine_done, .engine_reply, .engine_notify,
        .engine_control, .engine_control_ack, .storage, .kept, .session(),
        .place_valid(), .place_ready(1'b0), .place_free(1'b0), .places(), .overflow(1'b0), .dropped(1'b0), .walk_room(1'b0),
        .walk_valid(), .walk(), .walk_take(1'b0), .walked()
    );
endmodule
