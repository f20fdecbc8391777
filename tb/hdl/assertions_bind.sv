// Which rules hold on which port of the device. Left out of a build without assertions.

// The host puts a non-posted request on cq only while cq_np_ok is high: the device has room for it, whatever cc does,
// and so can always take the posted one behind it.
bind tb_top tlp_assertions #(.NAME("cq"), .DATA_W(DATA_W), .STALL_LIMIT(4096)) cq_rules (
    .clk, .rst, .np_ok(1'b1), .channel(cq)
);
bind tb_top tlp_assertions #(.NAME("cc"), .DATA_W(DATA_W), .FORM_RULE(1'b1)) cc_rules (
    .clk, .rst, .np_ok(1'b1), .channel(cc)
);
bind tb_top tlp_assertions #(.NAME("rq"), .DATA_W(DATA_W), .NP_RULE(1'b1), .FORM_RULE(1'b1)) rq_rules (
    .clk, .rst, .np_ok(rq_np_ok), .channel(rq)
);
// rc waits for nothing that the host holds back, so it cannot stand still for long.
bind tb_top tlp_assertions #(.NAME("rc"), .DATA_W(DATA_W), .STALL_LIMIT(4096)) rc_rules (
    .clk, .rst, .np_ok(1'b1), .channel(rc)
);
bind tb_top order_assertions order_rules (.clk, .rst, .cq, .cc, .rq);
bind tb_top stream_assertions #(.NAME("engine_request"), .DATA_W(DATA_W)) engine_request_rules (
    .clk, .rst, .channel(engine_request)
);
bind tb_top stream_assertions #(.NAME("engine_done"), .DATA_W(DATA_W)) engine_done_rules (
    .clk, .rst, .channel(engine_done)
);
bind tb_top stream_assertions #(.NAME("engine_control"), .DATA_W(DATA_W)) engine_control_rules (
    .clk, .rst, .channel(engine_control)
);
