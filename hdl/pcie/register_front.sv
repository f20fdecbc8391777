// Everything that the host and the DPU reach by registers: requests on cq become accesses, accesses reach the register
// blocks, and their answers are or-ed (a block that is not meant answers 0). Wiring only.
module register_front
    import endpoint_pkg::*, pcie_pkg::*, ramfs_pkg::time_t, virtio_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned NUM_REQUEST_QUEUES = 4,
    parameter int unsigned MAX_QUEUE_SIZE = 1024,
    parameter int unsigned MSIX_VECTORS = 11,
    parameter bit          CONFIG_SPACE = 1,
    parameter bit          RAMFS = 1,
    parameter bit          INTX = 1,
    parameter bit          FLR = 0,
    parameter bit          POWER = 0,
    parameter logic [63:0] BUILT_FEATURES = FEATURES
) (
    input  logic                  clk,
    input  logic                  rst,
    tlp_if.snk                    cq,
    tlp_if.src                    cc,
    output logic                  cq_np_ok,
    axil_if.slv                   dpu,
    output logic                  firmware,   // answers FUSE
    output time_t                 clock,      // the DPU's
    output pci_control_t          pci,
    output device_state_t         device,
    output queue_cfgs_t           queues,
    output logic [MAX_QUEUES-1:0] doorbell,
    output logic [MAX_QUEUES-1:0] queue_reset_request,
    input  logic [MAX_QUEUES-1:0] queue_resetting,
    input  logic [MAX_QUEUES-1:0] queue_disable,    // one cycle: its registers get their defaults
    output reset_req_t            reset,
    input  logic                  dma_idle,
    input  logic [7:0]            posted_granted,
    input  logic [7:0]            posted_sent,
    input  logic                  irq_valid,
    output logic                  irq_ready,
    input  queue_t                irq_queue,
    tlp_if.src                    message,    // MSI-X and INTx
    input  logic                  error_valid,
    output logic                  error_ready,
    input  error_t                error,
    input  logic [3:0]            completion_error,
    input  count_t                count,
    // verilator lint_off VARHIDDEN
    stream_if.src                 mailbox,    // std::mailbox is meant nowhere in here
    // verilator lint_on VARHIDDEN
    input  logic                  mailbox_result_valid,
    input  notify_result_e        mailbox_result,
    input  logic                  overflow,   // an invalidation was dropped
    dpu_client_if.mailbox         client,     // requests of the DPU
    retrieved_if.mailbox          kept        // what the driver answers to RETRIEVE
);
    if (NUM_REQUEST_QUEUES < 1 || NUM_REQUEST_QUEUES > MAX_REQUEST_QUEUES) begin : g_check_queues
        $fatal(1, "register_front: NUM_REQUEST_QUEUES is %0d, must be 1 to 8", NUM_REQUEST_QUEUES);
    end
    if (MSIX_VECTORS < 2 || MSIX_VECTORS > 64) begin : g_check_vectors
        $fatal(1, "register_front: MSIX_VECTORS is %0d, must be 2 to 64", MSIX_VECTORS);
    end
    if (!is_power_of_2(16'(MAX_QUEUE_SIZE))) begin : g_check_size
        $fatal(1, "register_front: MAX_QUEUE_SIZE is %0d, must be a power of 2 up to 32768", MAX_QUEUE_SIZE);
    end

    // ---- requests of the host ----
    access_t        access, config_access, bar_access;
    logic           access_cfg, hold, capture;
    logic [12:0]    capture_id;
    logic [31:0]    rdata, config_rdata;
    logic [48:0]    bar0;
    window_t        window;
    request_error_t request_error;
    logic           message_gone, msix_gone, interrupt_pending, intx_quiet, flr_active, flr_request, function_reset;

    request_handler #(.DATA_W(DATA_W)) requests (
        .clk, .rst, .cq, .cc, .cq_np_ok, .hold,
        .memory_enable(pci.memory_enable), .retry(flr_active), .completer_id(pci.requester_id), .bar0,
        .access, .access_cfg, .rdata, .capture, .capture_id, .request_error,
        .posted_granted, .posted_sent, .message_valid(message.valid), .message_gone
    );

    logic [31:0] feature_rdata, common_rdata, queue_rdata, device_rdata, isr_rdata, msix_rdata;

    pci_cfg_window routing (
        .clk, .access, .access_cfg, .rdata, .window, .config_access, .config_rdata, .bar_access,
        .bar_rdata(feature_rdata | common_rdata | queue_rdata | device_rdata | isr_rdata | msix_rdata)
    );

    // ---- configuration space ----
    logic [31:0] device_length;

    if (CONFIG_SPACE) begin : g_config
        pci_config_space #(.MSIX_VECTORS(MSIX_VECTORS), .INTX(INTX), .FLR(FLR), .POWER(POWER)) config_space (
            .clk, .rst, .function_reset, .restarting(flr_active), .access(config_access), .rdata(config_rdata),
            .capture, .capture_id, .request_error, .completion_error, .device_length, .interrupt_pending, .pci, .bar0, .window
        );
    end else begin : g_no_config
        logic unused;
        assign unused = &{1'b0, completion_error, config_access, capture, capture_id, request_error, device_length};
        pci_config_absent config_space (.rdata(config_rdata), .pci, .bar0, .window);
    end

    // ---- virtio registers ----
    straps_t               straps;
    logic                  config_changed, features_acceptable, reset_request, fatal, config_interrupt;
    logic [63:0]           driver_features;
    logic [7:0]            config_generation, status;
    logic [15:0]           config_vector, queue_select;
    role_e [MAX_QUEUES-1:0] role;
    logic [MAX_QUEUES-1:0] present;

    reset_control resets (
        .clk, .rst, .request(reset_request), .status_zero(status == '0), .flr(flr_request), .dma_idle, .reset, .hold
    );

    flr_control restart (
        .clk, .rst, .start(pci.flr), .wake(pci.wake), .intx_quiet, .reset, .active(flr_active), .function_reset,
        .request(flr_request)
    );

    feature_cfg negotiation (
        .clk, .clear(reset.clear), .access(bar_access), .rdata(feature_rdata), .offered(straps.features),
        .frozen(status[STATUS_FEATURES_OK]), .driver_features, .acceptable(features_acceptable)
    );

    common_cfg #(.MSIX_VECTORS(MSIX_VECTORS)) common (
        .clk, .clear(reset.clear), .access(bar_access), .rdata(common_rdata), .straps, .resetting(reset.quiesce),
        .reset_request, .features_acceptable, .driver_features, .config_generation, .fatal,
        .status, .config_interrupt, .config_vector, .queue_select, .device
    );

    queue_roles roles (
        .straps, .settled(status[STATUS_FEATURES_OK]), .notification(device.notification), .role, .present
    );

    queue_cfg #(.MSIX_VECTORS(MSIX_VECTORS)) queue_registers (
        .clk, .clear(reset.clear), .access(bar_access), .rdata(queue_rdata), .queue_select,
        .max_size(straps.max_queue_size), .role, .present, .device, .reset_request(queue_reset_request),
        .resetting(queue_resetting), .reset_registers(queue_disable), .queues
    );

    device_cfg device_registers (
        .clk, .rst, .access(bar_access), .rdata(device_rdata), .straps, .changed(config_changed),
        .config_generation, .length(device_length)
    );

    notify doorbells (.clk, .access(bar_access), .resetting(reset.quiesce), .queues, .doorbell);

    // ---- interrupts ----
    logic                      queue_isr;
    logic [MAX_QUEUES:0]       fire;
    logic [MAX_QUEUES:0][15:0] vector;

    interrupt_events events (
        .clk, .resetting(reset.quiesce), .msix_enable(pci.msix_enable), .queues, .config_vector,
        .irq_valid, .irq_ready, .irq_queue, .config_interrupt, .queue_isr, .fire, .vector
    );

    isr isr_register (
        .clk, .clear(reset.clear), .access(bar_access), .rdata(isr_rdata), .queue_interrupt(queue_isr),
        .config_interrupt, .pending(interrupt_pending)
    );

    tlp_if #(.DATA_W(DATA_W)) msix_message ();

    msix #(.DATA_W(DATA_W), .VECTORS(MSIX_VECTORS), .EVENTS(MAX_QUEUES + 1)) messages (
        .clk, .rst, .access(bar_access), .rdata(msix_rdata), .pci, .reset, .function_reset(flr_active), .fire, .vector,
        .message(msix_message), .message_gone(msix_gone)
    );

    intx #(.DATA_W(DATA_W)) line (
        .clk, .rst, .reset, .requester_id(pci.requester_id),
        .level(INTX && interrupt_pending && !pci.msix_enable && !pci.intx_disable && !pci.d3hot && !flr_active),
        .msix(msix_message), .msix_gone, .message, .message_gone, .quiet(intx_quiet)
    );

    // ---- the DPU's side ----
    assign firmware = straps.firmware;

    dpu_port #(
        .DATA_W(DATA_W), .NUM_REQUEST_QUEUES(NUM_REQUEST_QUEUES), .MAX_QUEUE_SIZE(MAX_QUEUE_SIZE),
        .BUILT_FEATURES(BUILT_FEATURES), .RAMFS(RAMFS)
    ) dpu_registers (
        .clk, .rst, .dpu, .straps, .clock, .config_changed, .status, .reset, .device, .error_valid, .error_ready, .error,
        .fatal, .count, .message(mailbox), .mailbox_result_valid, .mailbox_result, .overflow, .client,
        .kept
    );
endmodule
