// An example of a wrapper that another endpoint brings along: the same name and ports as tb/hdl/virtio_fs_dut.sv,
// around a device of other parameters (here two request queues, rings of at most 256 and one MSI-X vector too few
// for each queue to have its own).
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
        .NUM_REQUEST_QUEUES(2),
        .MAX_QUEUE_SIZE(256),
        .MSIX_VECTORS(4)
    ) small_endpoint (.*);
endmodule
