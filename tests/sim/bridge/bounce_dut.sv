// A stand-in device for tests of the bridge: it answers and bounces, and knows no virtio.
//
// cq: a read of any kind is answered with one dword, the register at its address; a memory write to 0x10 begins
// data[15:0] requests on rq: reads of 512 bytes, or writes of data[25:16] dwords where that is not 0.
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
    localparam int unsigned BEAT_DWORDS = DATA_W / 32;

    // ---- cq, cc ----
    logic        in_packet;
    logic [31:0] registers[64];
    logic        is_read;
    logic [31:0] address;
    logic        start;

    assign cq_np_ok = 1'b1;
    assign is_read = !cq.hdr[126];
    assign address = cq.hdr[125] ? cq.hdr[31:0] : cq.hdr[63:32];
    assign cq.ready = !cc.valid || cc.ready;
    assign start = cq.valid && cq.ready && !in_packet && !is_read && address[7:0] == 8'h10;

    always_ff @(posedge clk) begin
        if (rst) begin
            cc.valid <= 1'b0;
            in_packet <= 1'b0;
        end else begin
            if (cc.ready) cc.valid <= 1'b0;
            if (cq.valid && cq.ready) begin
                in_packet <= !cq.last;
                if (!in_packet && !is_read) registers[address[7:2]] <= cq.data[31:0];
                if (!in_packet && is_read) begin
                    cc.valid <= 1'b1;
                    // CplD, one dword, byte count 4, the request's requester and tag.
                    cc.hdr <= {32'h4A000001, 32'h01000004, cq.hdr[95:80], cq.hdr[79:72], 1'b0, address[6:0], 32'h0};
                    cc.data <= DATA_W'(registers[address[7:2]]);
                end
            end
        end
    end
    assign cc.last = 1'b1;

    // ---- rq, rc ----
    logic [15:0] requests;
    logic [9:0]  dwords;
    logic [9:0]  dwords_left;
    logic [15:0] sent;
    logic        np_ok;

    assign rc.ready = 1'b1;
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
            np_ok <= rq_np_ok || (np_ok && rq.valid && !rq.ready);
            if (rq.valid && rq.ready) begin
                dwords_left <= dwords_left - 10'(BEAT_DWORDS);
                if (rq.last) begin
                    requests <= requests - 1'b1;
                    sent <= sent + 1'b1;
                    dwords_left <= dwords;
                end
            end
        end
    end
    assign rq.valid = requests != '0 && (np_ok || dwords != '0);
    assign rq.last = dwords_left <= 10'(BEAT_DWORDS);
    assign rq.hdr = dwords == '0 ? {32'h00000080, 16'h0100, sent[7:0], 8'hFF, 7'h40, sent, 9'h0, 32'h0}
                                 : {8'h40, 14'h0, dwords, 16'h0100, sent[7:0], 8'hFF, 4'h8, sent, 12'h0, 32'h0};
    assign rq.data = {BEAT_DWORDS{6'h0, dwords_left, sent}};

    // ---- engine ----
    assign engine_request.valid = engine_reply.valid;
    assign engine_request.last = engine_reply.last;
    assign engine_request.data = engine_reply.data;
    assign engine_request.bytes = engine_reply.bytes;
    assign engine_request.user = engine_reply.user;
    assign engine_reply.ready = engine_request.ready;
    assign engine_notify.ready = 1'b1;
    assign engine_control.valid = engine_control_ack.valid;
    assign engine_control.last = engine_control_ack.last;
    assign engine_control.data = engine_control_ack.data;
    assign engine_control.bytes = engine_control_ack.bytes;
    assign engine_control.user = engine_control_ack.user;
    assign engine_control_ack.ready = engine_control.ready;

    // ---- storage ----
    typedef enum logic [1:0] {IDLE, READ, WRITE, DONE} copy_e;
    copy_e       copy;
    logic [31:0] copy_address;

    assign engine_job.ready = copy == IDLE;
    assign engine_done.valid = copy == DONE;
    assign engine_done.last = 1'b1;
    assign engine_done.bytes = '0;
    assign engine_done.data = '0;
    assign engine_done.user = 128'(copy_address);
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
                DONE: if (engine_done.ready) copy <= IDLE;
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
