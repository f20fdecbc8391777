// Builds memory writes from what the writers offer, events first, then HI, one packet after the other without a gap: the payload's
// first dword on lane 0 whatever the address. QUIESCE lets the packet finish that has begun on rq.
module mwr_builder #(
    parameter int unsigned DATA_W = 256,
    localparam int unsigned LANE_W = $clog2(DATA_W / 8)
) (
    input  logic                                         clk,
    input  logic                                         rst,
    input  logic                                         enable,
    input  logic [15:0]                                  requester_id,
    input  logic [dma_pkg::WRITERS-1:0]                  packet_valid,
    output logic [dma_pkg::WRITERS-1:0]                  packet_take,
    input  dma_pkg::write_packet_t [dma_pkg::WRITERS-1:0] packet,

    output logic [endpoint_pkg::LANES-1:0]               select,
    output logic [endpoint_pkg::LANES-1:0]               take,
    output logic [LANE_W-1:0]                            offset,
    output logic [LANE_W:0]                              bytes,
    output logic                                         finish,
    input  logic [endpoint_pkg::LANES-1:0]               have,
    input  logic [endpoint_pkg::LANES-1:0][DATA_W-1:0]   beat,

    tlp_if.src                                           rq,
    output logic                                         idle,       // no packet stands half sent
    output logic                                         sent,       // a packet's last beat was accepted
    output logic                                         sent_event, // with sent: it was an event's
    output logic                                         sent_used,  // with sent: it made an entry used
    output endpoint_pkg::write_done_t                    sent_done
);
    import endpoint_pkg::*;
    import dma_pkg::*;
    import tlp_pkg::*;

    localparam logic [LANE_W:0] BEAT = (LANE_W + 1)'(DATA_W / 8);

    typedef logic [$clog2(WRITERS)-1:0] writer_t;

    // ---- choice of a writer ----
    writer_t       writer;
    write_packet_t chosen;
    logic          pick;
    logic          free_next;       // nothing is being built, or its last beat is on its way
    always_comb begin
        writer = writer_t'(LANE_REQ);
        if (packet_valid[LANE_NTF]) writer = writer_t'(LANE_NTF);
        if (packet_valid[LANE_HI]) writer = writer_t'(LANE_HI);
        if (packet_valid[WRITER_EVENT]) writer = writer_t'(WRITER_EVENT);
        chosen = packet[writer];
        pick = enable && free_next && packet_valid != 0;
        packet_take = '0;
        packet_take[writer] = pick;
    end

    mem_request_t request;
    always_comb begin
        request = '0;
        request.write = 1'b1;
        request.requester_id = requester_id;
        request.addr = chosen.addr;
        request.length = dword_count(chosen.addr[1:0], chosen.bytes);
        {request.last_be, request.first_be} = byte_enables(chosen.addr[1:0], chosen.bytes);
    end

    // ---- the packet being built ----
    logic         active_reg;
    logic         first_reg;
    writer_t      writer_reg;
    lane_e        lane;            // of data; an event's packet has none
    // verilator lint_off UNUSEDSIGNAL
    write_packet_t packet_reg;      // bytes: what is left of it
    // verilator lint_on UNUSEDSIGNAL
    logic [127:0] hdr_reg;

    logic room;
    logic step;
    logic ends;
    assign room = !rq.valid || rq.ready;
    assign lane = writer_reg == writer_t'(WRITER_EVENT) ? LANE_HI : lane_e'(writer_reg);
    always_comb begin
        offset = first_reg ? LANE_W'(packet_reg.addr[1:0]) : '0;
        ends = 11'(packet_reg.bytes) + 11'(offset) <= 11'(BEAT);
        bytes = ends ? packet_reg.bytes[LANE_W:0] : BEAT - {1'b0, offset};
        finish = ends && packet_reg.finish;
        step = active_reg && room && (packet_reg.immediate || have[lane]);
        select = '0;
        select[lane] = active_reg && !packet_reg.immediate;
        take = '0;
        take[lane] = step && !packet_reg.immediate;
    end
    assign free_next = !active_reg || (step && ends);

    always_ff @(posedge clk) begin
        if (pick) begin
            active_reg <= 1'b1;
            first_reg <= 1'b1;
            writer_reg <= writer;
            packet_reg <= chosen;
            hdr_reg <= pack_mem_request(request);
        end else if (step) begin
            active_reg <= !ends;
            first_reg <= 1'b0;
            packet_reg.bytes <= packet_reg.bytes - 10'(bytes);
        end
        if (rst) active_reg <= 1'b0;
    end

    // ---- bytes that are not written are 0 ----
    logic [DATA_W-1:0] payload;
    always_comb begin
        logic [DATA_W/8-1:0] keep;
        keep = '0;
        for (int unsigned i = 0; i < DATA_W / 8; i++) begin
            keep[i] = (LANE_W + 1)'(i) >= {1'b0, offset} && (LANE_W + 1)'(i) < {1'b0, offset} + bytes;
        end
        payload = '0;
        if (step && packet_reg.immediate) begin
            payload[63:0] = packet_reg.imm;
        end else if (step) begin
            for (int unsigned d = 0; d < DATA_W / 32; d++) begin
                payload[32*d+:32] = beat[lane][32*d+:32]
                    & {{8{keep[4*d+3]}}, {8{keep[4*d+2]}}, {8{keep[4*d+1]}}, {8{keep[4*d]}}};
            end
        end
    end

    // ---- register to rq ----
    logic        event_reg;
    logic        used_reg;
    write_done_t done_reg;
    logic        half_sent_reg;
    always_ff @(posedge clk) begin
        if (room) rq.valid <= step;
        if (step) begin
            rq.last <= ends;
            rq.hdr <= hdr_reg;
            rq.data <= payload;
            event_reg <= writer_reg == writer_t'(WRITER_EVENT);
            used_reg <= packet_reg.makes_used;
            done_reg <= '{lane: lane, queue: packet_reg.queue, ctx: packet_reg.ctx, slots: packet_reg.slots};
        end
        if (rq.valid && rq.ready) half_sent_reg <= !rq.last;
        if (rst) begin
            rq.valid <= 1'b0;
            half_sent_reg <= 1'b0;
        end
    end
    assign idle = !half_sent_reg;
    assign sent = rq.valid && rq.ready && rq.last;
    assign sent_event = event_reg;
    assign sent_used = used_reg;
    assign sent_done = done_reg;
endmodule
