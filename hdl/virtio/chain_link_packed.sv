// How a descriptor of a packed ring leads to the next (virtio 1.4, 2.8.6 "Next Flag" and 2.8.7 "Indirect Flag"): in the
// ring to the one behind it while NEXT is set, over the ring's end; in a table to the one behind it, up to the table's
// end, whatever the flags say but WRITE. A list has descriptors of one kind: a table stands alone.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module chain_link_packed
    import endpoint_pkg::*;
    import pipeline_pkg::*;
(
    input  position_t    position,        // of the descriptor
    input  logic [127:0] descriptor,
    input  logic         indirect_desc,   // VIRTIO_F_INDIRECT_DESC was negotiated
    input  logic         full,            // it is in the last slot that was free
    output link_t        link
);
    import virtio_pkg::*;

    logic [15:0] flags;
    logic [31:0] len;
    logic        last;

    assign len = descriptor[95:64];
    assign flags = descriptor[127:112];
    assign last = 17'(position.index) + 17'd1 == position.bound;

    always_comb begin
        link.indirect = flags[DESC_INDIRECT] && !position.indirect;
        link.goes_on = position.indirect ? !last : flags[DESC_NEXT];
        link.next = last ? '0 : position.index + 1'b1;
        link.named = !position.indirect;  // by the last one in the ring
        link.id = descriptor[111:96];
        link.code = ERR_NONE;
        if (link.indirect) begin
            if (!indirect_desc) link.code = ERR_INDIRECT_OFF;
            else if (link.goes_on || position.count != 0) link.code = ERR_INDIRECT_NEXT;
            else if (len == 0 || len[3:0] != 0) link.code = ERR_INDIRECT_LENGTH;
        end else if (full && link.goes_on && !position.indirect) begin
            link.code = ERR_CHAIN_LENGTH;
        end
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
