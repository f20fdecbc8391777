// The DPU's register port: straps, time, counters, error log, mailboxes. No logic but the joining of answers.
module dpu_port
    import endpoint_pkg::*, pcie_pkg::access_t, ramfs_pkg::time_t, virtio_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned NUM_REQUEST_QUEUES = 4,
    parameter int unsigned MAX_QUEUE_SIZE = 1024,
    parameter logic [63:0] BUILT_FEATURES = FEATURES,
    parameter bit          RAMFS = 1
) (
    input  logic           clk,
    input  logic           rst,
    axil_if.slv            dpu,
    output straps_t        straps,
    output time_t          clock,
    output logic           config_changed,   // a strap that the device configuration shows has a new value
    input  logic [7:0]     status,
    input  reset_req_t     reset,
    input  device_state_t  device,
    input  logic           error_valid,
    output logic           error_ready,
    input  error_t         error,
    output logic           fatal,            // pulse
    input  count_t         count,
    stream_if.src          message,          // of the notify mailbox; user: engine_notify_t
    input  logic           mailbox_result_valid,
    input  notify_result_e mailbox_result,
    input  logic           overflow,         // an invalidation was dropped
    dpu_client_if.mailbox  client,           // requests of the DPU
    retrieved_if.mailbox   kept              // what the driver answers to RETRIEVE
);
    access_t     access;
    logic [31:0] straps_rdata, counters_rdata, log_rdata, mailbox_rdata, client_rdata, kept_rdata;
    logic        straps_fail, mailbox_fail, client_fail;

    axil_registers registers (
        .clk, .rst, .dpu, .access,
        .rdata(straps_rdata | counters_rdata | log_rdata | mailbox_rdata | client_rdata | kept_rdata),
        .fail(straps_fail || mailbox_fail || client_fail)
    );

    logic        locked_valid;
    logic [12:0] locked_offset;

    dpu_straps #(
        .NUM_REQUEST_QUEUES(NUM_REQUEST_QUEUES), .MAX_QUEUE_SIZE(MAX_QUEUE_SIZE), .BUILT_FEATURES(BUILT_FEATURES),
        .RAMFS(RAMFS)
    ) strap_registers (
        .clk, .rst, .access, .rdata(straps_rdata), .fail(straps_fail), .status, .resetting(reset.quiesce),
        .straps, .clock, .changed(config_changed), .locked_valid, .locked_offset
    );

    logic   logged, refused;
    count_t events;

    // Errors are counted where they are logged.
    always_comb begin
        events = count;
        events[COUNT_ERRORS] = logged;
        events[COUNT_NOTIFY_REFUSED] = count[COUNT_NOTIFY_REFUSED] || refused;
    end

    dpu_counters counters (.clk, .rst, .access, .rdata(counters_rdata), .status, .count(events));

    error_log errors (
        .clk, .rst, .access, .rdata(log_rdata), .error_valid, .error_ready, .error, .locked_valid, .locked_offset,
        .logged
    );
    assign fatal = error_valid && error_ready && error.fatal;

    notify_mailbox #(.DATA_W(DATA_W)) notifications (
        .clk, .rst, .access, .rdata(mailbox_rdata), .fail(mailbox_fail), .device, .overflow, .clear(reset.clear),
        .message, .mailbox_result_valid, .mailbox_result, .refused
    );

    retrieved_mailbox #(.DATA_W(DATA_W)) retrieved (.clk, .rst, .access, .rdata(kept_rdata), .kept);

    fuse_mailbox #(.DATA_W(DATA_W)) requests (
        .clk, .rst, .access, .rdata(client_rdata), .fail(client_fail), .firmware(straps.firmware), .client
    );
endmodule
