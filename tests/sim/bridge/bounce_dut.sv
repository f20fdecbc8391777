// A stand-in device for tests of the bridge: it answers and bounces, and knows no virtio.
//
// cq: a read of any kind is answered with one dword, the register at its address; a memory write to 0x10 begins
// data[15:0] requests on rq: reads of 512 bytes, or writes of data[25:16] dwords where that is not 0.
// A write to 0x20 has the device break a rule from now on (fault_pkg); one to 0x24 sets cq_np_ok to data[0].
// engine_reply comes back as engine_request, control_ack as control; a job copies one word of storage to 64 bytes behind it.
module virtio_fs_dut #(
    parameter int unsigned DATA_W = 256
) (
    input  logic   clk,
    input  logic   rst,
    tlp_if.snk     cq,
    tlp_if.src     cc,
    tlp_if.src     rq,
    tlp_if.snk     rc,
    input  logic   rq_np_ok,
    output logic   cq_np_ok,
    axil_if.slv    dpu,
    stream_if.src  engine_request,
    stream_if.snk  engine_job,
    stream_if.src  engine_done,
    stream_if.snk  engine_reply,
    stream_if.snk  engine_notify,
    stream_if.src  engine_control,
    stream_if.snk  engine_control_ack,
    storage_if.mst storage
);
    import fault_pkg::*;

    localparam int unsigned BEAT_DWORDS = DATA_W / 32;

    // ---- between the channels of this device and the pins: what breaks their rules ----
    fault_e fault;
    tlp_if #(.DATA_W(DATA_W)) cc_good ();
    tlp_if #(.DATA_W(DATA_W)) rq_good ();
    stream_if #(.DATA_W(DATA_W)) request_good ();
    stream_if #(.DATA_W(DATA_W)) done_good ();
    stream_if #(.DATA_W(DATA_W)) control_good ();

    tlp_misbehaviour cc_misbehaviour (.clk, .fault, .in(cc_good), .out(cc));
    tlp_misbehaviour rq_misbehaviour (.clk, .fault, .in(rq_good), .out(rq));
    stream_misbehaviour #(.DATA_W(DATA_W)) request_misbehaviour (
        .clk, .fault, .in(request_good), .out(engine_request)
    );
    stream_misbehaviour #(.DATA_W(DATA_W)) done_misbehaviour (.clk, .fault, .in(done_good), .out(engine_done));
    stream_misbehaviour #(.DATA_W(DATA_W)) control_misbehaviour (
        .clk, .fault, .in(control_good), .out(engine_control)
    );

    // ---- cq, cc ----
    logic        in_packet;
    logic [31:0] registers[64];
    logic        is_read;
    logic [31:0] address;
    logic        start;
    logic        answer;         // a completion is to leave, once the packet on rq has gone that was there before
    logic        behind_posted;

    assign is_read = !cq.hdr[126];
    assign address = cq.hdr[125] ? cq.hdr[31:0] : cq.hdr[63:32];
    assign cq.ready = !answer || (cc_good.valid && cc_good.ready);
    assign start = cq.valid && cq.ready && !in_packet && !is_read && address[7:0] == 8'h10;

    always_ff @(posedge clk) begin
        if (rst) begin
            answer <= 1'b0;
            in_packet <= 1'b0;
            behind_posted <= 1'b0;
            fault <= NONE;
            cq_np_ok <= 1'b1;
        end else begin
            if (cc_good.valid && cc_good.ready) answer <= 1'b0;
            if (rq.ready && rq.last) behind_posted <= 1'b0;
            if (cq.valid && cq.ready) begin
                in_packet <= !cq.last;
                if (!in_packet && !is_read) registers[address[7:2]] <= cq.data[31:0];
                if (!in_packet && !is_read && address[7:0] == 8'h20) fault <= fault_e'(cq.data[7:0]);
                if (!in_packet && !is_read && address[7:0] == 8'h24) cq_np_ok <= cq.data[0];
                if (!in_packet && is_read) begin
                    answer <= 1'b1;
                    behind_posted <= rq_good.valid && dwords != '0 && !(rq.ready && rq.last);
                    // CplD, one dword, byte count 4, the request's requester and tag.
                    cc_good.hdr <= {32'h4A000001, 32'h01000004, cq.hdr[95:80], cq.hdr[79:72], 1'b0, address[6:0], 32'h0};
                    cc_good.data <= DATA_W'(registers[address[7:2]]);
                end
            end
        end
    end
    assign cc_good.last = 1'b1;
    assign cc_good.valid = answer && (!behind_posted || fault == PASSES_POSTED);

    // ---- rq, rc ----
    logic [15:0] requests;
    logic [9:0]  dwords;
    logic [9:0]  dwords_left;
    logic [15:0] sent;
    logic        np_ok;

    assign rc.ready = fault != RC_WAITS_FOR_RQ || !rq.valid;
    always_ff @(posedge clk) begin
        if (rst) begin
            requests <= '0;
            sent <= '0;
            np_ok <= 1'b0;
        end else if (start) begin
            requests <= cq.data[15:0];
            dwords <= cq.data[25:16];
            dwords_left <= cq.data[25:16];
        end else begin
            np_ok <= rq_np_ok || (np_ok && rq_good.valid && !rq_good.ready);
            if (rq_good.valid && rq_good.ready) begin
                dwords_left <= dwords_left - 10'(BEAT_DWORDS);
                if (rq_good.last) begin
                    requests <= requests - 1'b1;
                    sent <= sent + 1'b1;
                    dwords_left <= dwords;
                end
            end
        end
    end
    assign rq_good.valid = requests != '0 && (np_ok || dwords != '0 || fault == IGNORES_CREDIT);
    assign rq_good.last = dwords_left <= 10'(BEAT_DWORDS);
    assign rq_good.hdr = dwords == '0 ? {32'h00000080, 16'h0100, sent[7:0], 8'hFF, 7'h40, sent, 9'h0, 32'h0}
                                 : {8'h40, 14'h0, dwords, 16'h0100, sent[7:0], 8'hFF, 4'h8, sent, 12'h0, 32'h0};
    assign rq_good.data = {BEAT_DWORDS{6'h0, dwords_left, sent}};

    // ---- engine ----
    assign request_good.valid = engine_reply.valid;
    assign request_good.last = engine_reply.last;
    assign request_good.data = engine_reply.data;
    assign request_good.bytes = engine_reply.bytes;
    assign request_good.user = engine_reply.user;
    assign engine_reply.ready = request_good.ready;
    assign engine_notify.ready = 1'b1;
    assign control_good.valid = engine_control_ack.valid;
    assign control_good.last = engine_control_ack.last;
    assign control_good.data = engine_control_ack.data;
    assign control_good.bytes = engine_control_ack.bytes;
    assign control_good.user = engine_control_ack.user;
    assign engine_control_ack.ready = control_good.ready;

    // ---- storage ----
    typedef enum logic [1:0] {IDLE, READ, WRITE, DONE} copy_e;
    copy_e       copy;
    logic [31:0] copy_address;

    assign engine_job.ready = copy == IDLE;
    assign done_good.valid = copy == DONE;
    assign done_good.last = 1'b1;
    assign done_good.bytes = '0;
    assign done_good.data = '0;
    assign done_good.user = 128'(copy_address);
    assign storage.write = copy == WRITE;
    assign storage.addr = copy == WRITE ? copy_address + 64 : copy_address;
    assign storage.wstrb = '1;

    logic asked;
    assign storage.valid = copy == READ && !asked || copy == WRITE;
    always_ff @(posedge clk) begin
        if (rst) begin
            copy <= IDLE;
            asked <= 1'b0;
        end else begin
            unique case (copy)
                IDLE: if (engine_job.valid) begin
                    copy <= READ;
                    copy_address <= engine_job.user[127:96];
                end
                READ: begin
                    if (storage.valid && storage.ready) asked <= 1'b1;
                    if (storage.rvalid) begin
                        storage.wdata <= storage.rdata;
                        asked <= 1'b0;
                        copy <= WRITE;
                    end
                end
                WRITE: if (storage.ready) copy <= DONE;
                DONE: if (done_good.ready) copy <= IDLE;
            endcase
        end
    end

    // ---- DPU registers: 0x000 to 0x0FF, else SLVERR ----
    logic [31:0] dpu_registers[64];

    assign dpu.awready = dpu.awvalid && dpu.wvalid && !dpu.bvalid;
    assign dpu.wready = dpu.awready;
    assign dpu.arready = !dpu.rvalid;
    always_ff @(posedge clk) begin
        if (rst) begin
            dpu.bvalid <= 1'b0;
            dpu.rvalid <= 1'b0;
        end else begin
            if (dpu.bready) dpu.bvalid <= 1'b0;
            if (dpu.rready) dpu.rvalid <= 1'b0;
            if (dpu.awready) begin
                dpu.bvalid <= 1'b1;
                dpu.bresp <= dpu.awaddr < 13'h100 ? 2'b00 : 2'b10;
                if (dpu.awaddr < 13'h100) dpu_registers[dpu.awaddr[7:2]] <= dpu.wdata;
            end
            if (dpu.arvalid && dpu.arready) begin
                dpu.rvalid <= 1'b1;
                dpu.rresp <= dpu.araddr < 13'h100 ? 2'b00 : 2'b10;
                dpu.rdata <= dpu_registers[dpu.araddr[7:2]];
            end
        end
    end
endmodule
