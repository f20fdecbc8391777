// Used entries from the order in which they leave to the interrupt, with plain ports: used_order and write_lanes.
module used_bench
    import endpoint_pkg::*;
#(
    parameter int unsigned DATA_W = 128
) (
    input  logic                  clk,
    input  logic                  rst,
    // The device.
    input  logic                  packed_ring,
    input  logic                  event_idx,
    input  logic                  in_order,
    input  logic [MAX_QUEUES-1:0] queue_stop,
    input  logic [MAX_QUEUES-1:0] queue_clear,
    output logic [MAX_QUEUES-1:0] queue_quiet,
    // A queue's registers.
    input  logic                  set_valid,
    input  queue_t                set_queue,
    input  logic [15:0]           set_size,
    input  logic [63:0]           set_desc,
    input  logic [63:0]           set_driver,
    input  logic [63:0]           set_device,
    // A chain gets a context.
    input  logic                  start_valid,
    input  queue_t                start_queue,
    input  context_t              start_ctx,
    input  logic                  drop_valid,
    input  context_t              drop,
    output logic [31:0]           held,
    // Commands of the three lanes: 0 data of one beat, 1 used.
    input  logic [LANES-1:0]      cmd_valid,
    output logic [LANES-1:0]      cmd_ready,
    input  logic [LANES-1:0]      cmd_used,
    input  queue_t [LANES-1:0]    cmd_queue,
    input  context_t [LANES-1:0]  cmd_ctx,
    input  logic [LANES-1:0][63:0] cmd_addr,
    input  logic [LANES-1:0][15:0] cmd_id,
    input  logic [LANES-1:0][15:0] cmd_slots,
    input  logic [LANES-1:0][31:0] cmd_len,
    input  logic                  event_valid,
    output logic                  event_ready,
    input  queue_t                event_queue,
    input  logic [15:0]           event_index,
    // Memory writes, one beat each.
    output logic                  write_valid,
    input  logic                  write_ready,
    output logic [127:0]          write_hdr,
    output logic [63:0]           write_data,
    output logic                  done_valid,
    output queue_t                done_queue,
    output context_t              done_ctx,
    output logic [15:0]           done_slots,
    // What the driver wishes.
    output logic                  sup_valid,
    output logic [63:0]           sup_addr,
    output logic [9:0]            sup_bytes,
    input  logic                  rsp_valid,
    output logic                  rsp_ready,
    input  logic [31:0]           rsp_data,
    output logic                  irq_valid,
    output queue_t                irq_queue
);
    queue_cfgs_t   queues;
    device_state_t device;
    always_comb begin
        device = '0;
        device.ring_packed = packed_ring;
        device.event_idx = event_idx;
        device.in_order = in_order;
    end
    always_ff @(posedge clk) begin
        if (set_valid) begin
            queues[set_queue].size <= set_size;
            queues[set_queue].desc <= set_desc;
            queues[set_queue].driver <= set_driver;
            queues[set_queue].device <= set_device;
        end
    end

    pci_control_t pci;
    always_comb begin
        pci = '0;
        pci.bus_master = 1'b1;
    end

    pipeline_pkg::chain_start_t start;
    always_comb begin
        start = '0;
        start.ctx = start_ctx;
        start.queue = start_queue;
    end

    write_cmd_t [LANES-1:0] early, cmd;
    logic [LANES-1:0]       early_valid, early_ready, valid, ready;
    stream_if #(.DATA_W(DATA_W), .USER_W(1)) data [LANES] ();
    for (genvar l = 0; l < LANES; l++) begin : g_lane
        // The bytes of a command come with it: they are its length.
        logic room;
        assign room = data[l].ready;
        assign early_valid[l] = cmd_valid[l] && (cmd_used[l] || room);
        assign cmd_ready[l] = early_ready[l] && (cmd_used[l] || room);
        assign data[l].valid = cmd_valid[l] && !cmd_used[l] && early_ready[l];
        assign data[l].last = 1'b1;
        assign data[l].data = DATA_W'(cmd_len[l]);
        assign data[l].bytes = 4;
        assign data[l].user = '0;
        assign early[l] = '{
            kind: cmd_used[l] ? WRITE_USED : WRITE_DATA, queue: cmd_queue[l], ctx: cmd_ctx[l], addr: cmd_addr[l],
            bytes: 32'd4, id: cmd_id[l], slots: cmd_slots[l], len: cmd_len[l]
        };
    end

    used_order #(.CONTEXTS(32)) used_order (
        .clk, .flush(rst), .in_order, .queue_stop, .queue_clear, .start_valid, .start, .in_valid(early_valid),
        .in_ready(early_ready), .in(early), .out_valid(valid), .out_ready(ready), .out(cmd), .drop_valid, .drop, .held
    );

    tlp_if #(.DATA_W(DATA_W)) rq ();
    stream_if #(.DATA_W(DATA_W), .USER_W(1)) rsp ();
    write_done_t done;
    read_req_t   sup;
    error_t      error;
    count_t      count;
    logic        error_valid, idle;

    write_lanes #(.DATA_W(DATA_W)) write_lanes (
        .clk, .rst, .pci, .reset('0), .queues, .device, .cmd_valid(valid), .cmd_ready(ready), .cmd, .data,
        .done_valid, .done, .queue_stop, .queue_clear, .queue_quiet, .event_valid, .event_ready, .event_queue,
        .event_index, .sup_valid, .sup_ready(1'b1), .sup, .sup_rsp(rsp), .irq_valid, .irq_ready(1'b1), .irq_queue,
        .error_valid, .error_ready(1'b1), .error, .rq, .idle, .count
    );

    assign rq.ready = write_ready;
    assign write_valid = rq.valid;
    assign write_hdr = rq.hdr;
    assign write_data = rq.data[63:0];
    assign done_queue = done.queue;
    assign done_ctx = done.ctx;
    assign done_slots = done.slots;
    assign sup_addr = sup.addr;
    assign sup_bytes = sup.bytes;
    assign rsp.valid = rsp_valid;
    assign rsp.last = 1'b1;
    assign rsp.data = DATA_W'(rsp_data);
    assign rsp.bytes = 4;
    assign rsp.user = '0;
    assign rsp_ready = rsp.ready;
endmodule
