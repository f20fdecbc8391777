// The device under test: the one module that another endpoint brings along, with this name and these ports.
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
    virtio_fs_endpoint #(.DATA_W(DATA_W)) endpoint (.*);
endmodule
