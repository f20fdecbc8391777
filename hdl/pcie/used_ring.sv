// Where used entries go (virtio 1.4, 2.7.8 "The Virtqueue Used Ring"): a lane that begins a used entry gets the
// addresses of the entry and of the index, and the index's new value. A queue serves one used entry at a time, until
// its index left on rq, so entries and indices of a queue leave in order whichever lane brings them.
module used_ring (
    input  logic                                    clk,
    input  logic                                    rst,
    input  endpoint_pkg::queue_cfgs_t               queues,
    input  logic [endpoint_pkg::LANES-1:0]          begin_valid,
    output logic [endpoint_pkg::LANES-1:0]          begin_ready,
    input  endpoint_pkg::queue_t [endpoint_pkg::LANES-1:0] begin_queue,
    // the same for all lanes, for the one whose begin_ready is high
    output logic [63:0]                             entry_addr,
    output logic [63:0]                             index_addr,
    output logic [15:0]                             index,
    input  logic                                    sent,           // a used index left on rq
    input  endpoint_pkg::queue_t                    sent_queue
);
    import endpoint_pkg::*;

    logic [15:0] index_reg[MAX_QUEUES];
    logic [MAX_QUEUES-1:0] busy_reg;

    logic [LANES-1:0] can_begin;
    always_comb begin
        for (int unsigned l = 0; l < LANES; l++) can_begin[l] = begin_valid[l] && !busy_reg[begin_queue[l]];
    end

    // The lowest lane first: HI, NTF, REQ.
    queue_t queue;
    always_comb begin
        begin_ready = can_begin & (~can_begin + 1'b1);
        queue = begin_queue[LANE_REQ];
        if (begin_ready[LANE_NTF]) queue = begin_queue[LANE_NTF];
        if (begin_ready[LANE_HI]) queue = begin_queue[LANE_HI];
    end

    // The used ring is 4-byte aligned. A queue's size is a power of two.
    logic [63:0] ring;
    logic [15:0] place;
    always_comb begin
        ring = {queues[queue].device[63:2], 2'b0};
        place = index_reg[queue] & (queues[queue].size - 16'd1);
        entry_addr = ring + 64'd4 + {45'b0, place, 3'b0};
        index_addr = ring + 64'd2;
        index = index_reg[queue] + 16'd1;
    end

    always_ff @(posedge clk) begin
        if (begin_ready != 0) begin
            index_reg[queue] <= index;
            busy_reg[queue] <= 1'b1;
        end
        if (sent) busy_reg[sent_queue] <= 1'b0;
        if (rst) begin
            busy_reg <= '0;
            for (int unsigned q = 0; q < MAX_QUEUES; q++) index_reg[q] <= '0;
        end
    end
endmodule
