// Writes to host memory: three in-order lanes of commands share one stream of posted packets, HI first. A used entry,
// what makes it used, the suppression read that follows and the interrupt are the tail of a lane's work. Beside them,
// what tells the driver from where on to kick.
module write_lanes #(
    parameter int unsigned DATA_W = 256
) (
    input  logic                                              clk,
    input  logic                                              rst,
    input  endpoint_pkg::pci_control_t                        pci,
    input  endpoint_pkg::reset_req_t                          reset,
    input  endpoint_pkg::queue_cfgs_t                         queues,
    input  endpoint_pkg::device_state_t                       device,
    input  logic [endpoint_pkg::LANES-1:0]                    cmd_valid,
    output logic [endpoint_pkg::LANES-1:0]                    cmd_ready,
    input  endpoint_pkg::write_cmd_t [endpoint_pkg::LANES-1:0] cmd,
    stream_if.snk                                             data[endpoint_pkg::LANES],
    output logic                                              done_valid,     // a used entry is out
    output endpoint_pkg::write_done_t                         done,
    input  logic [endpoint_pkg::MAX_QUEUES-1:0]               queue_stop,
    input  logic [endpoint_pkg::MAX_QUEUES-1:0]               queue_clear,
    output logic [endpoint_pkg::MAX_QUEUES-1:0]               queue_quiet,
    input  logic                                              event_valid,    // avail_event of a split queue
    output logic                                              event_ready,    // is out
    input  endpoint_pkg::queue_t                              event_queue,
    input  logic [15:0]                                       event_index,
    output logic                                              sup_valid,
    input  logic                                              sup_ready,
    output endpoint_pkg::read_req_t                           sup,
    stream_if.snk                                             sup_rsp,
    output logic                                              irq_valid,
    input  logic                                              irq_ready,
    output endpoint_pkg::queue_t                              irq_queue,
    output logic                                              error_valid,
    input  logic                                              error_ready,
    output endpoint_pkg::error_t                              error,
    tlp_if.src                                                rq,
    output logic                                              idle,
    output endpoint_pkg::count_t                              count
);
    import endpoint_pkg::*;
    import dma_pkg::*;

    localparam int unsigned LANE_W = $clog2(DATA_W / 8);

    logic unused;
    assign unused = &{1'b0, pci};

    logic forget;
    assign forget = rst || reset.clear;

    // ---- place of used entries ----
    logic [LANES-1:0] begin_valid;
    logic [LANES-1:0] begin_ready;
    queue_t [LANES-1:0] begin_queue;
    logic [LANES-1:0][15:0] begin_slots;
    logic [63:0] entry_addr;
    logic [63:0] index_addr;
    logic [15:0] index;
    logic wrap;
    logic [15:0] done_place;
    used_ring places (
        .clk, .rst(forget), .queue_clear, .queues, .packed_ring(device.ring_packed),
        .begin_valid, .begin_ready, .begin_queue, .begin_slots, .entry_addr, .index_addr, .index, .wrap,
        .sent(done_valid), .sent_queue(done.queue), .sent_place(done_place)
    );

    // ---- lanes ----
    logic [WRITERS-1:0] packet_valid;
    logic [WRITERS-1:0] packet_take;
    write_packet_t [WRITERS-1:0] packet;
    logic [LANES-1:0] select;
    logic [LANES-1:0] take;
    logic [LANE_W-1:0] offset;
    logic [LANE_W:0] bytes;
    logic finish;
    logic [LANES-1:0] have;
    logic [LANES-1:0][DATA_W-1:0] beat;
    for (genvar l = 0; l < int'(LANES); l++) begin : g_lane
        write_lane #(.DATA_W(DATA_W)) lane (
            .clk, .rst(forget), .mps(pci.mps), .cmd_valid(cmd_valid[l]), .cmd_ready(cmd_ready[l]), .cmd(cmd[l]),
            .data(data[l]), .packed_ring(device.ring_packed), .begin_valid(begin_valid[l]),
            .begin_ready(begin_ready[l]), .begin_queue(begin_queue[l]), .begin_slots(begin_slots[l]),
            .entry_addr, .index_addr, .index, .wrap,
            .packet_valid(packet_valid[l]), .packet_take(packet_take[l]), .packet(packet[l]),
            .select(select[l]), .take(take[l]), .offset, .bytes, .finish, .have(have[l]), .beat(beat[l])
        );
    end

    // ---- events ----
    logic sent;
    logic sent_event;
    event_writer events (
        .clk, .rst(forget), .queues, .event_valid, .event_ready, .event_queue, .event_index,
        .packet_valid(packet_valid[WRITER_EVENT]), .packet_take(packet_take[WRITER_EVENT]),
        .packet(packet[WRITER_EVENT]), .sent(sent && sent_event)
    );

    // ---- packets ----
    logic sent_used;
    mwr_builder #(.DATA_W(DATA_W)) builder (
        .clk, .rst(forget), .enable(pci.bus_master && !reset.quiesce), .requester_id(pci.requester_id),
        .packet_valid, .packet_take, .packet, .select, .take, .offset, .bytes, .finish, .have, .beat,
        .rq, .idle, .sent, .sent_event, .sent_used, .sent_done(done)
    );
    assign done_valid = sent && sent_used;

    // ---- interrupts ----
    logic suppressed;
    used_interrupt interrupts (
        .clk, .rst(forget), .enable(!reset.quiesce), .device, .queues, .queue_stop, .queue_quiet,
        .used(done_valid), .used_done(done), .used_place(done_place),
        .sup_valid, .sup_ready, .sup, .sup_rsp, .irq_valid, .irq_ready, .irq_queue, .suppressed,
        .error_valid, .error_ready, .error
    );

    always_comb begin
        count = '0;
        count[COUNT_WRITE_TLPS] = sent;
        count[COUNT_INTERRUPTS] = irq_valid && irq_ready;
        count[COUNT_INTERRUPTS_SUPPRESSED] = suppressed;
    end
endmodule
