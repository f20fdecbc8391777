// Interfaces around the endpoint, so that `make lint` can elaborate it at every data width: the interface ports of a
// top module would keep their default width.
/* verilator lint_off UNUSEDSIGNAL */
/* verilator lint_off UNDRIVEN */
module lint_top #(
    parameter int unsigned DATA_W = 256
) (
    input  logic clk,
    input  logic rst,
    input  logic rq_np_ok,
    output logic cq_np_ok
);
    tlp_if #(.DATA_W(DATA_W)) cq ();
    tlp_if #(.DATA_W(DATA_W)) cc ();
    tlp_if #(.DATA_W(DATA_W)) rq ();
    tlp_if #(.DATA_W(DATA_W)) rc ();
    axil_if dpu ();
    stream_if #(.DATA_W(DATA_W)) engine_request ();
    stream_if #(.DATA_W(DATA_W)) engine_job ();
    stream_if #(.DATA_W(DATA_W)) engine_done ();
    stream_if #(.DATA_W(DATA_W)) engine_reply ();
    stream_if #(.DATA_W(DATA_W)) engine_notify ();
    stream_if #(.DATA_W(DATA_W)) engine_control ();
    stream_if #(.DATA_W(DATA_W)) engine_control_ack ();
    storage_if #(.DATA_W(DATA_W)) storage ();

    virtio_fs_endpoint #(.DATA_W(DATA_W)) endpoint (.*);
endmodule
