// Where used entries go: a lane that begins one gets the addresses and what has to be written there. A queue serves one
// used entry at a time, until what makes it used left on rq, so entries of a queue leave in order whichever lane
// brings them.
//
// Split ring (virtio 1.4, 2.7.8 "The Virtqueue Used Ring"): the entry, then the index. Packed ring (2.8 "Packed
// Virtqueues"): one descriptor, whose flags make it used; the next one goes as many slots on as the chain had
// descriptors.
module used_ring (
    input  logic                                    clk,
    input  logic                                    rst,
    input  logic [endpoint_pkg::MAX_QUEUES-1:0]     queue_clear,    // one cycle: the ring begins anew
    input  endpoint_pkg::queue_cfgs_t               queues,
    input  logic                                    packed_ring,
    input  logic [endpoint_pkg::LANES-1:0]          begin_valid,
    output logic [endpoint_pkg::LANES-1:0]          begin_ready,
    input  endpoint_pkg::queue_t [endpoint_pkg::LANES-1:0] begin_queue,
    input  logic [endpoint_pkg::LANES-1:0][15:0]    begin_slots,
    // the same for all lanes, for the one whose begin_ready is high
    output logic [63:0]                             entry_addr,
    output logic [63:0]                             index_addr,     // split
    output logic [15:0]                             index,          // split
    output logic                                    wrap,           // packed: what AVAIL and USED become
    // What made an entry used left on rq; where its queue stands since then: the used index, or {not wrap, slot}.
    input  logic                                    sent,
    input  endpoint_pkg::queue_t                    sent_queue,
    output logic [15:0]                             sent_place
);
    import endpoint_pkg::*;

    // Split: the used index. Packed: the next slot, and in bit 15 whether the wrap counter differs from its first
    // value, 1.
    logic [15:0]           place_reg[MAX_QUEUES];
    logic [MAX_QUEUES-1:0] busy_reg;

    logic [LANES-1:0] can_begin;
    always_comb begin
        for (int unsigned l = 0; l < LANES; l++) can_begin[l] = begin_valid[l] && !busy_reg[begin_queue[l]];
    end

    // The lowest lane first: HI, NTF, REQ.
    queue_t      queue;
    logic [15:0] slots;
    always_comb begin
        begin_ready = can_begin & (~can_begin + 1'b1);
        queue = begin_queue[LANE_REQ];
        slots = begin_slots[LANE_REQ];
        if (begin_ready[LANE_NTF]) begin
            queue = begin_queue[LANE_NTF];
            slots = begin_slots[LANE_NTF];
        end
        if (begin_ready[LANE_HI]) begin
            queue = begin_queue[LANE_HI];
            slots = begin_slots[LANE_HI];
        end
    end

    // The used ring is 4-byte aligned, the descriptor ring 16. A split queue's size is a power of two.
    logic [63:0] ring;
    logic [15:0] now;
    logic [15:0] place;      // in the ring
    logic [15:0] beyond;     // packed: the next slot, if the ring did not end
    logic        wraps;
    logic [15:0] next;
    assign now = place_reg[queue];
    assign beyond = {1'b0, now[14:0]} + slots;
    assign wraps = beyond >= queues[queue].size;
    always_comb begin
        place = packed_ring ? {1'b0, now[14:0]} : now & (queues[queue].size - 16'd1);
        ring = packed_ring ? {queues[queue].desc[63:4], 4'b0} : {queues[queue].device[63:2], 2'b0};
        // {address, length, id, flags}: the address stays as it is.
        entry_addr = packed_ring ? ring + {44'b0, place, 4'b1000} : ring + 64'd4 + {45'b0, place, 3'b0};
        index_addr = ring + 64'd2;
        index = now + 16'd1;
        wrap = !now[15];
        next = index;
        if (packed_ring) next = {now[15] ^ wraps, 15'(wraps ? beyond - queues[queue].size : beyond)};
    end
    assign sent_place = place_reg[sent_queue];

    always_ff @(posedge clk) begin
        if (begin_ready != 0) begin
            place_reg[queue] <= next;
            busy_reg[queue] <= 1'b1;
        end
        if (sent) busy_reg[sent_queue] <= 1'b0;
        for (int unsigned q = 0; q < MAX_QUEUES; q++) begin
            if (rst || queue_clear[q]) place_reg[q] <= '0;
        end
        if (rst) busy_reg <= '0;
    end
endmodule
