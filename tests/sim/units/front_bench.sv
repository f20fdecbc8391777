// The registers as the host reaches them, and the way to rq, with plain ports: register_front and rq_arbiter. Nothing
// else of the endpoint is there: the script says whether DMA is idle.
module front_bench
    import endpoint_pkg::*;
#(
    parameter int unsigned DATA_W = 128,
    parameter bit          INTX = 1,
    parameter bit          FLR = 1,
    parameter bit          POWER = 1
) (
    input  logic              clk,
    input  logic              rst,
    input  logic              cq_valid,
    output logic              cq_ready,
    input  logic [127:0]      cq_hdr,
    input  logic [DATA_W-1:0] cq_data,
    output logic              cc_valid,
    output logic              cc_last,
    output logic [127:0]      cc_hdr,
    output logic [DATA_W-1:0] cc_data,
    output logic              rq_valid,
    input  logic              rq_ready,
    output logic [127:0]      rq_hdr,
    output logic [DATA_W-1:0] rq_data,
    input  logic              dma_idle,
    input  logic              irq_valid,
    input  queue_t            irq_queue,
    input  logic              fatal,
    input  logic [3:0]        completion_error,
    output logic [MAX_QUEUES-1:0] doorbell
);
    tlp_if #(.DATA_W(DATA_W)) cq ();
    tlp_if #(.DATA_W(DATA_W)) cc ();
    tlp_if #(.DATA_W(DATA_W)) rq ();
    tlp_if #(.DATA_W(DATA_W)) message ();
    tlp_if #(.DATA_W(DATA_W)) none[2] ();
    axil_if dpu ();
    stream_if #(.DATA_W(DATA_W)) mail ();
    dpu_client_if #(.DATA_W(DATA_W)) client ();
    retrieved_if #(.DATA_W(DATA_W)) kept ();

    assign cq.valid = cq_valid;
    assign cq.last = 1'b1;
    assign cq.hdr = cq_hdr;
    assign cq.data = cq_data;
    assign cq_ready = cq.ready;
    assign cc.ready = 1'b1;
    assign cc_valid = cc.valid;
    assign cc_last = cc.last;
    assign cc_hdr = cc.hdr;
    assign cc_data = cc.data;
    assign rq.ready = rq_ready;
    assign rq_valid = rq.valid;
    assign rq_hdr = rq.hdr;
    assign rq_data = rq.data;
    assign none[0].valid = 1'b0;
    assign none[1].valid = 1'b0;
    assign dpu.awvalid = 1'b0;
    assign dpu.wvalid = 1'b0;
    assign dpu.arvalid = 1'b0;
    assign dpu.bready = 1'b1;
    assign dpu.rready = 1'b1;
    assign mail.ready = 1'b1;
    assign client.done = 1'b0;
    assign client.reply_write = 1'b0;
    assign kept.write = 1'b0;
    assign kept.done = 1'b0;
    assign kept.lost = 1'b0;

    error_t error;
    always_comb begin
        error = '0;
        error.code = ERR_AVAIL_INDEX;
        error.fatal = 1'b1;
    end

    reset_req_t          reset;
    logic                arbiter_idle;
    logic [7:0]          posted_granted, posted_sent;
    logic                cq_np_ok, firmware, irq_ready, error_ready;
    ramfs_pkg::time_t    clock;
    pci_control_t        pci;
    device_state_t       device;
    queue_cfgs_t         queues;
    logic [MAX_QUEUES-1:0] queue_reset_request;

    register_front #(.DATA_W(DATA_W), .RAMFS(0), .INTX(INTX), .FLR(FLR), .POWER(POWER)) front (
        .clk, .rst, .cq, .cc, .cq_np_ok, .dpu, .firmware, .clock, .pci, .device, .queues, .doorbell,
        .queue_reset_request, .queue_resetting('0), .queue_disable('0), .reset, .dma_idle(dma_idle && arbiter_idle),
        .posted_granted, .posted_sent, .irq_valid, .irq_ready, .irq_queue, .message,
        .error_valid(fatal), .error_ready, .error, .completion_error, .count('0), .mailbox(mail),
        .mailbox_result_valid(1'b0), .mailbox_result(NOTIFY_IDLE), .overflow(1'b0), .client, .kept
    );

    rq_arbiter #(.DATA_W(DATA_W)) arbiter (
        .clk, .rst, .reset, .posted(none[0]), .messages(message), .reads(none[1]), .rq_np_ok(1'b1), .rq,
        .posted_granted, .posted_sent, .idle(arbiter_idle)
    );
endmodule
