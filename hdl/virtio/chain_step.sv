// One descriptor of a chain: what it makes of the walk, and the rules that it may break. A zero-length descriptor is a
// no-op; the one that points to a table does not count.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module chain_step
    import endpoint_pkg::*;
    import pipeline_pkg::*;
(
    input  queue_cfgs_t   queues,
    input  device_state_t device,
    input  walk_t         walk,
    input  logic [15:0]   at,              // index of the descriptor
    input  logic [127:0]  descriptor,
    output chain_step_t   made
);
    import virtio_pkg::*;

    link_t       link_split;
    link_t       link_packed;
    link_t       link;
    logic        full;
    logic [15:0] most;
    logic [32:0] total;

    assign full = !walk.again && walk.position.count + 1'b1 == walk.room;
    // In packed rings the device says how long a table may be (PACK-IND-R03): a ring of one slot is of use then.
    assign most = device.ring_packed && walk.position.indirect ? MOST_DESCRIPTORS : queues[walk.position.queue].size;

    chain_link_split split (
        .position(walk.position), .descriptor, .indirect_desc(device.indirect_desc), .link(link_split)
    );
    chain_link_packed packed_ring (
        .position(walk.position), .descriptor, .indirect_desc(device.indirect_desc), .full, .link(link_packed)
    );

    assign link = device.ring_packed ? link_packed : link_split;
    assign made.addr = descriptor[63:0];
    assign made.len = descriptor[95:64];
    assign made.write = device.ring_packed ? descriptor[112+DESC_WRITE] : descriptor[96+DESC_WRITE];
    assign made.goes_on = link.goes_on;
    assign made.store = !link.indirect && made.len != 0 && walk.stored != 5'(WINDOW);
    assign made.fills = made.store && walk.stored == 5'(WINDOW - 1);
    assign total = {1'b0, walk.readable} + {1'b0, walk.writable} + {1'b0, made.len};

    always_comb begin
        made.walk = walk;
        made.code = link.code;
        made.leave = 1'b1;
        made.ended = 1'b0;
        if (link.named) made.walk.id = link.id;
        if (link.indirect) begin
            // WRITE means nothing here (SPLIT-IND-D01, PACK-IND-DI1).
            made.walk.position.indirect = 1'b1;
            made.walk.position.base = made.addr;
            made.walk.position.bound = made.len[31:20] != 0 ? 17'h10000 : {1'b0, made.len[19:4]};
            made.walk.position.index = '0;
        end else begin
            made.walk.position.count = walk.position.count + 1'b1;
            made.walk.position.writing = walk.position.writing || made.write;
            if (made.store) made.walk.stored = walk.stored + 1'b1;
            if (made.write) made.walk.writable = walk.writable + made.len;
            else made.walk.readable = walk.readable + made.len;
            if (link.goes_on) begin
                made.walk.position.index = link.next;
                if (made.fills) made.walk.more = 1'b1;
                made.ended = made.fills && walk.again;
                made.leave = made.ended || link.next <= at;
            end else begin
                made.ended = 1'b1;
            end
            if (walk.position.count == most) made.code = ERR_CHAIN_LENGTH;
            else if (walk.position.writing && !made.write) made.code = ERR_DIRECTION;
            else if (total[32]) made.code = ERR_CHAIN_BYTES;
        end
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
