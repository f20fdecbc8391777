// The endpoint between interfaces of any width: the top of width checks, since interface ports of a top have their
// default width.
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
