// A completion with data pushes the device's posted requests before it (PCI Express Base Specification, Transaction
// Ordering): it leaves on cc only after the posted requests that were on rq before its request was accepted on cq.
module order_assertions (
    input logic clk,
    input logic rst,
    tlp_if.mon  cq,
    tlp_if.mon  cc,
    tlp_if.mon  rq
);
    import tlp_rules_pkg::*;

    logic        cq_in_packet, cc_in_packet;
    logic        rq_begun;         // the packet on rq was there in the cycle before
    logic        rq_posted;        // and is posted
    int unsigned begun;            // posted packets that were on rq before this cycle
    int unsigned ended;            // and those that have left
    int unsigned owed[256];        // by tag of the host's request: `begun` when it was accepted
    int unsigned ended_now;
    logic        posted_now;

    always @(posedge clk) begin
        if (rst) begin
            cq_in_packet <= 1'b0;
            cc_in_packet <= 1'b0;
            rq_begun <= 1'b0;
            begun <= 0;
            ended <= 0;
        end else begin
            posted_now = rq_begun ? rq_posted : rq.valid && is_posted(rq.hdr);
            ended_now = ended + 32'(rq.valid && rq.ready && rq.last && posted_now);
            ended <= ended_now;
            rq_posted <= posted_now;
            rq_begun <= rq_begun ? !(rq.valid && rq.ready && rq.last) : rq.valid && !(rq.ready && rq.last);
            if (!rq_begun && posted_now) begun <= begun + 1;

            if (cq.valid && cq.ready) begin
                cq_in_packet <= !cq.last;
                if (!cq_in_packet && is_non_posted(cq.hdr)) owed[cq.hdr[79:72]] <= begun;
            end
            if (cc.valid && cc.ready) begin
                cc_in_packet <= !cc.last;
                if (!cc_in_packet && is_completion(cc.hdr) && cc.hdr[126] && ended_now < owed[cc.hdr[47:40]])
                    bridge_pkg::dpi_fail($sformatf(
                        "cc: the completion with tag %0d passes %0d posted requests on rq",
                        cc.hdr[47:40], owed[cc.hdr[47:40]] - ended_now));
            end
        end
    end
endmodule
