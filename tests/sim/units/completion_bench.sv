// completion_queue with plain ports: one dword a completion.
module completion_bench (
    input  logic       clk,
    input  logic       rst,
    input  logic       push,
    input  logic [7:0] posted_granted,
    input  logic [7:0] posted_sent,
    output logic       space,
    output logic       leaves
);
    tlp_if #(.DATA_W(128)) cc ();
    assign cc.ready = 1'b1;
    assign leaves = cc.valid;
    completion_queue #(.DATA_W(128)) unit (
        .clk, .rst, .space, .dword_valid(push), .dword_last(1'b1), .dword('0), .push, .push_waits(1'b1),
        .push_dwords(6'd1), .push_hdr('0), .posted_granted, .posted_sent, .message_valid(1'b0), .message_gone(1'b0), .cc
    );
endmodule
