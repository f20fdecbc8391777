// The testbench around `virtio_fs_dut`: clock, reset, and a transactor on every port.
//
// All decisions of a cycle (which port may move a beat, reset, levels, whether Python is woken) come from one call of
// the bridge at the falling edge: they are stable at the rising edge, whatever the order of the processes there.
module tb_top #(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned CLOCK_PS = 4000
);
    import bridge_pkg::*;

    logic             clk = 1'b0;
    logic             rst = 1'b1;
    logic             wake = 1'b0;      // toggles when Python is to run
    logic             stop = 1'b0;      // a failure that Python did not pick up
    logic             rq_np_ok = 1'b1;
    logic             cq_np_ok;
    logic [PORTS-1:0] go = '0;

    initial dpi_trace_window();
    initial forever #(CLOCK_PS / 2) clk = ~clk;

    logic [63:0] decided;
    always @(negedge clk) begin
        decided = 64'(dpi_tick(longint'($time), cq_np_ok));
        go <= decided[PORTS-1:0];
        rst <= decided[16];
        rq_np_ok <= decided[17];
        wake <= decided[18];
        stop <= decided[19];
        if (stop) $fatal(1, "a protocol assertion failed, see above");
    end

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

    // For who looks at waves, whatever the device: Fmt and Type of the packets, opcode of the request (first beat).
    logic [7:0]  cq_kind, cc_kind, rq_kind, rc_kind;
    logic [31:0] request_opcode;
    assign cq_kind = cq.hdr[127:120];
    assign cc_kind = cc.hdr[127:120];
    assign rq_kind = rq.hdr[127:120];
    assign rc_kind = rc.hdr[127:120];
    assign request_opcode = engine_request.data[63:32];

    // PCIe
    tlp_source #(.PORT(PORT_CQ), .DATA_W(DATA_W)) cq_source (.clk, .rst, .go(go[PORT_CQ]), .out(cq));
    tlp_sink #(.PORT(PORT_CC), .DATA_W(DATA_W)) cc_sink (.clk, .rst, .go(go[PORT_CC]), .in(cc));
    tlp_sink #(.PORT(PORT_RQ), .DATA_W(DATA_W)) rq_sink (.clk, .rst, .go(go[PORT_RQ]), .in(rq));
    tlp_source #(.PORT(PORT_RC), .DATA_W(DATA_W)) rc_source (.clk, .rst, .go(go[PORT_RC]), .out(rc));

    // Firmware engine
    stream_sink #(.PORT(PORT_ENGINE_REQUEST), .DATA_W(DATA_W)) request_sink (
        .clk, .rst, .go(go[PORT_ENGINE_REQUEST]), .in(engine_request)
    );
    stream_source #(.PORT(PORT_ENGINE_JOB), .DATA_W(DATA_W)) job_source (
        .clk, .rst, .go(go[PORT_ENGINE_JOB]), .out(engine_job)
    );
    stream_sink #(.PORT(PORT_ENGINE_DONE), .DATA_W(DATA_W)) done_sink (
        .clk, .rst, .go(go[PORT_ENGINE_DONE]), .in(engine_done)
    );
    stream_source #(.PORT(PORT_ENGINE_REPLY), .DATA_W(DATA_W)) reply_source (
        .clk, .rst, .go(go[PORT_ENGINE_REPLY]), .out(engine_reply)
    );
    stream_source #(.PORT(PORT_ENGINE_NOTIFY), .DATA_W(DATA_W)) notify_source (
        .clk, .rst, .go(go[PORT_ENGINE_NOTIFY]), .out(engine_notify)
    );
    stream_sink #(.PORT(PORT_ENGINE_CONTROL), .DATA_W(DATA_W)) control_sink (
        .clk, .rst, .go(go[PORT_ENGINE_CONTROL]), .in(engine_control)
    );
    stream_source #(.PORT(PORT_ENGINE_CONTROL_ACK), .DATA_W(DATA_W)) control_ack_source (
        .clk, .rst, .go(go[PORT_ENGINE_CONTROL_ACK]), .out(engine_control_ack)
    );
    storage_memory #(.DATA_W(DATA_W)) storage_behind (.clk, .rst, .go(go[PORT_STORAGE]), .port(storage));

    // DPU registers
    axil_driver dpu_driver (.clk, .rst, .go(go[PORT_DPU]), .bus(dpu));

    virtio_fs_dut #(.DATA_W(DATA_W)) dut (
        .clk, .rst,
        .cq, .cc, .rq, .rc, .rq_np_ok, .cq_np_ok,
        .dpu,
        .engine_request, .engine_job, .engine_done, .engine_reply, .engine_notify,
        .engine_control, .engine_control_ack,
        .storage
    );
endmodule
