// Writes avail_event of a split queue (virtio 1.4, 2.7.10): up to which available index the device has seen, so that the
// driver kicks behind it. `event_ready` comes when the write has left on rq: a read of the index that is issued then
// sees whatever the driver did not kick for.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module event_writer
    import endpoint_pkg::*, dma_pkg::*;
(
    input  logic          clk,
    input  logic          rst,
    input  queue_cfgs_t   queues,
    input  logic          event_valid,
    output logic          event_ready,
    input  queue_t        event_queue,
    input  logic [15:0]   event_index,
    output logic          packet_valid,
    input  logic          packet_take,
    output write_packet_t packet,
    input  logic          sent
);
    logic taken_reg;
    assign packet_valid = event_valid && !taken_reg;
    assign event_ready = taken_reg && sent;

    // Behind the used ring: flags, index and entries of 8 bytes.
    always_comb begin
        packet = '0;
        packet.immediate = 1'b1;
        packet.queue = event_queue;
        packet.addr = {queues[event_queue].device[63:2], 2'b0} + 64'd4 + {45'b0, queues[event_queue].size, 3'b0};
        packet.bytes = 10'd2;
        packet.finish = 1'b1;
        packet.imm = {48'b0, event_index};
    end

    always_ff @(posedge clk) begin
        taken_reg <= !rst && (packet_take || (taken_reg && !sent));
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
