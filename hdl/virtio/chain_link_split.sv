// How a descriptor of a split ring leads to the next (virtio 1.4, 2.7.5): by `next`, in the ring's table and in an
// indirect one alike. A chain may change to a table once, with its last direct descriptor.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module chain_link_split
    import endpoint_pkg::*;
    import pipeline_pkg::*;
(
    input  position_t    position,        // of the descriptor
    input  logic [127:0] descriptor,
    input  logic         indirect_desc,   // VIRTIO_F_INDIRECT_DESC was negotiated
    output link_t        link
);
    import virtio_pkg::*;

    logic [15:0] flags;
    logic [31:0] len;

    assign len = descriptor[95:64];
    assign flags = descriptor[111:96];

    always_comb begin
        link.indirect = flags[DESC_INDIRECT];
        link.goes_on = flags[DESC_NEXT];
        link.next = descriptor[127:112];
        link.named = 1'b0;                // by its head
        link.id = '0;
        link.code = ERR_NONE;
        if (link.indirect) begin
            if (position.indirect) link.code = ERR_INDIRECT_NESTED;
            else if (!indirect_desc) link.code = ERR_INDIRECT_OFF;
            else if (link.goes_on) link.code = ERR_INDIRECT_NEXT;
            else if (len == 0 || len[3:0] != 0) link.code = ERR_INDIRECT_LENGTH;
        end else if (link.goes_on && 17'(link.next) >= position.bound) begin
            link.code = ERR_NEXT_INDEX;
        end
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
