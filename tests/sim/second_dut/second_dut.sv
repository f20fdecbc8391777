// What a vendor writes: a module of this name and these ports around a foreign design. This one holds our endpoint
// with one request queue and small queues.
module virtio_fs_dut #(
    parameter int unsigned DATA_W = 256
) (
    input  logic   clk,
    input  logic   rst,
    tlp_if.snk     cq,
    tlp_if.src     cc,
    tlp_if.src     rq,
    tlp_if.snk     rc,
    input  logic   rq_np_ok,
    output logic   cq_np_ok,
    axil_if.slv    dpu,
    stream_if.src  engine_request,
    stream_if.snk  engine_job,
    stream_if.src  engine_done,
    stream_if.snk  engine_reply,
    stream_if.snk  engine_notify,
    stream_if.src  engine_control,
    stream_if.snk  engine_control_ack,
    storage_if.mst storage
);
    virtio_fs_endpoint #(
        .DATA_W(DATA_W),
        .NUM_REQUEST_QUEUES(1),
        .MAX_QUEUE_SIZE(256),
        .MSIX_VECTORS(4)
    ) endpoint (.*);
endmodule
