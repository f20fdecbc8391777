// The side that reads rings, with plain ports: scheduler, chain fetch, context table, and one cursor that goes over the
// chains' segments.
module rings_bench
    import endpoint_pkg::*;
    import pipeline_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned CONTEXTS = 32
) (
    input  logic                  clk,
    input  logic                  rst,
    input  logic                  ring_packed,
    input  logic                  event_idx,
    input  logic                  indirect_desc,
    input  logic                  cfg_write,
    input  logic [3:0]            cfg_queue,
    input  logic                  cfg_enable,
    input  logic [15:0]           cfg_size,
    input  logic [63:0]           cfg_desc,
    input  logic [63:0]           cfg_driver,
    input  logic [63:0]           cfg_device,
    input  logic [MAX_QUEUES-1:0] doorbell,
    input  logic [MAX_QUEUES-1:0] queue_stop,
    input  logic [MAX_QUEUES-1:0] queue_clear,
    output logic [MAX_QUEUES-1:0] queue_quiet,
    output logic                  event_valid,
    input  logic                  event_ready,
    output logic [3:0]            event_queue,
    output logic [15:0]           event_index,
    output logic                  req_valid,
    input  logic                  req_ready,
    output logic [63:0]           req_addr,
    output logic [9:0]            req_bytes,
    input  logic                  rsp_valid,
    output logic                  rsp_ready,
    input  logic                  rsp_last,
    input  logic                  rsp_bad,
    input  logic [DATA_W-1:0]     rsp_data,
    output logic                  started,
    output logic [3:0]            start_queue,
    output logic [5:0]            start_ctx,
    output logic                  walked,
    output logic [5:0]            walked_ctx,
    output logic [3:0]            walked_queue,
    output logic [15:0]           walked_id,
    output logic [15:0]           walked_slots,
    output logic [31:0]           walked_readable,
    output logic [31:0]           walked_writable,
    input  logic                  range_valid,
    output logic                  range_ready,
    input  logic [5:0]            range_ctx,
    input  logic                  range_write,
    input  logic [32:0]           range_offset,
    input  logic [31:0]           range_length,
    output logic                  piece_valid,
    input  logic                  piece_ready,
    output logic [63:0]           piece_addr,
    output logic [31:0]           piece_len,
    output logic                  piece_last,
    input  logic                  give_back,
    input  logic [3:0]            give_back_queue,
    input  logic [5:0]            give_back_ctx,
    input  logic [15:0]           give_back_slots,
    output logic                  dropped,
    output logic [5:0]            dropped_ctx,
    output logic                  error_valid,
    output logic [7:0]            error_code
);
    queue_cfgs_t   queues;
    device_state_t device;

    always_comb begin
        device = '0;
        device.driver_ok = 1'b1;
        device.ring_packed = ring_packed;
        device.event_idx = event_idx;
        device.indirect_desc = indirect_desc;
    end

    always_ff @(posedge clk) begin
        if (cfg_write) begin
            queues[cfg_queue].enable <= cfg_enable;
            queues[cfg_queue].size <= cfg_size;
            queues[cfg_queue].desc <= cfg_desc;
            queues[cfg_queue].driver <= cfg_driver;
            queues[cfg_queue].device <= cfg_device;
            queues[cfg_queue].vector <= '0;
            queues[cfg_queue].role <=
                cfg_queue == 0 ? ROLE_HIPRIO : cfg_queue == 1 ? ROLE_NOTIFICATION : ROLE_REQUEST;
        end
        if (rst) begin
            for (int q = 0; q < int'(MAX_QUEUES); q++) begin
                queues[q].enable <= 1'b0;
                queues[q].role <= ROLE_NONE;
            end
        end
    end

    logic [1:0]                   ring_valid, ring_ready;
    read_req_t [1:0]              ring_req;
    read_req_t                    req;
    stream_if #(.DATA_W(DATA_W), .USER_W(1)) ring_rsp [2] ();
    stream_if #(.DATA_W(DATA_W), .USER_W(1)) rsp ();
    logic                         start_valid, start_ready;
    chain_start_t                 start;
    logic [RELEASES-1:0]          release_valid;
    write_done_t [RELEASES-1:0]   released;
    logic [CURSORS-1:0]           refetch_valid, refetch_ready, refetched_valid;
    position_t [CURSORS-1:0]      refetch;
    refetch_t                     refetched;
    logic                         segment_valid, resume_valid, info_valid, walked_valid;
    slot_t                        segment_slot;
    logic [3:0]                   segment_index;
    segment_t                     segment;
    context_t                     resume_ctx;
    position_t                    resume;
    chain_info_t                  info;
    walked_t                      walked_what;
    context_t [LOOKS-1:0]         look_ctx;
    chain_info_t [LOOKS-1:0]      look_info;
    position_t [CURSORS-1:0]      look_resume;
    slot_t [CURSORS-1:0]          window_slot;
    logic [CURSORS-1:0][3:0]      window_index;
    segment_t [CURSORS-1:0]       window_segment;
    range_t                       range;
    piece_t                       piece;
    logic [2:0]                   errors;
    error_t [2:0]                 error;

    assign req_addr = req.addr;
    assign req_bytes = req.bytes;
    assign rsp.valid = rsp_valid;
    assign rsp.last = rsp_last;
    assign rsp.data = rsp_data;
    assign rsp.bytes = '0;
    assign rsp.user = rsp_bad;
    assign rsp_ready = rsp.ready;
    assign started = start_valid && start_ready;
    assign start_queue = start.queue;
    assign start_ctx = start.ctx;
    assign walked = walked_valid;
    assign walked_ctx = walked_what.ctx;
    assign walked_queue = look_info[LOOK_GATHER].chain.queue;
    assign walked_id = look_info[LOOK_GATHER].chain.id;
    assign walked_slots = look_info[LOOK_GATHER].chain.slots;
    assign walked_readable = look_info[LOOK_GATHER].chain.readable;
    assign walked_writable = look_info[LOOK_GATHER].chain.writable;
    assign range.ctx = range_ctx;
    assign range.write = range_write;
    assign range.offset = range_offset;
    assign range.length = range_length;
    assign piece_addr = piece.addr;
    assign piece_len = piece.len;
    assign piece_last = piece.last;
    assign dropped = release_valid[RELEASE_FETCH];
    assign dropped_ctx = released[RELEASE_FETCH].ctx;
    assign error_valid = errors != '0;
    assign error_code = errors[0] ? error[0].code : errors[1] ? error[1].code : error[2].code;

    always_comb begin
        look_ctx[LOOK_GATHER] = walked_what.ctx;
        for (int l = int'(CURSORS) + 1; l < int'(LOOKS); l++) look_ctx[l] = '0;
        for (int c = 1; c < int'(CURSORS); c++) begin
            look_ctx[c] = '0;
            window_slot[c] = '0;
            window_index[c] = '0;
            refetch_valid[c] = 1'b0;
            refetch[c] = '0;
        end
        release_valid[RELEASE_FETCH-1:0] = '0;
        released[RELEASE_FETCH-1:0] = '0;
        release_valid[0] = give_back;
        released[0].queue = give_back_queue;
        released[0].ctx = give_back_ctx;
        released[0].slots = give_back_slots;
        released[0].lane = role_lane(queues[give_back_queue].role);
    end

    scheduler #(.DATA_W(DATA_W), .CONTEXTS(CONTEXTS), .NUM_REQUEST_QUEUES(4)) scheduler (
        .clk, .flush(rst), .queues, .device, .serve(1'b1), .doorbell, .queue_stop, .queue_clear, .queue_quiet,
        .event_valid, .event_ready, .event_queue, .event_index,
        .req_valid(ring_valid[0]), .req_ready(ring_ready[0]), .req(ring_req[0]), .rsp(ring_rsp[0]),
        .start_valid, .start_ready, .start, .info_valid, .info, .release_valid, .released,
        .error_valid(errors[0]), .error_ready(1'b1), .error(error[0])
    );

    chain_fetch #(.DATA_W(DATA_W), .CONTEXTS(CONTEXTS)) chain_fetch (
        .clk, .flush(rst), .queues, .device, .queue_stop, .start_valid, .start_ready, .start,
        .refetch_valid, .refetch_ready, .refetch, .refetched_valid, .refetched,
        .req_valid(ring_valid[1]), .req_ready(ring_ready[1]), .req(ring_req[1]), .rsp(ring_rsp[1]),
        .segment_valid, .segment_slot, .segment_index, .segment, .resume_valid, .resume_ctx, .resume,
        .info_valid, .info, .walked_valid, .walked(walked_what),
        .release_valid(release_valid[RELEASE_FETCH]), .released(released[RELEASE_FETCH]),
        .error_valid(errors[1]), .error_ready(1'b1), .error(error[1])
    );

    ring_read_join ring_read_join (
        .clk, .flush(rst), .user_valid(ring_valid), .user_ready(ring_ready), .user_req(ring_req), .user_rsp(ring_rsp),
        .req_valid, .req_ready, .req, .rsp
    );

    context_table #(.CONTEXTS(CONTEXTS)) context_table (
        .clk, .info_valid, .info_in(info), .resume_valid, .resume_ctx, .resume_in(resume),
        .segment_valid, .segment_slot, .segment_index, .segment_in(segment),
        .look_ctx, .look_info, .look_resume, .window_slot, .window_index, .window_segment
    );

    chain_cursor #(.CONTEXTS(CONTEXTS), .CURSOR(CURSOR_HEADER)) chain_cursor (
        .clk, .flush(rst), .range_valid, .range_ready, .range, .piece_valid, .piece_ready, .piece,
        .look_ctx(look_ctx[0]), .look_info(look_info[0]), .look_resume(look_resume[0]),
        .window_slot(window_slot[0]), .window_index(window_index[0]), .window_segment(window_segment[0]),
        .refetch_valid(refetch_valid[0]), .refetch_ready(refetch_ready[0]), .refetch(refetch[0]),
        .refetched_valid(refetched_valid[0]), .refetched,
        .error_valid(errors[2]), .error_ready(1'b1), .error(error[2])
    );
endmodule
