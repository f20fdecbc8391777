// Leads the engine's streams to whoever answers FUSE: the file system in hardware, or firmware behind the endpoint's
// ports. `firmware` changes only while the device is reset; the change takes effect between messages, with no read of
// storage outstanding, and until then no request begins: it would go to the engine that is to answer no more. An
// acknowledgement of a reset is taken from both.
module engine_select #(
    parameter int unsigned DATA_W = 256
) (
    input  logic   clk,
    input  logic   rst,
    input  logic   firmware,
    // the data path
    stream_if.snk  request,
    stream_if.src  job,
    stream_if.snk  done,
    stream_if.src  reply,
    stream_if.src  notify,
    stream_if.snk  control,
    stream_if.src  control_ack,
    storage_if.slv storage,
    // the file system in hardware
    stream_if.src  ramfs_request,
    stream_if.snk  ramfs_job,
    stream_if.src  ramfs_done,
    stream_if.snk  ramfs_reply,
    stream_if.snk  ramfs_notify,
    stream_if.src  ramfs_control,
    stream_if.snk  ramfs_control_ack,
    storage_if.mst ramfs_storage,
    // firmware
    stream_if.src  firmware_request,
    stream_if.snk  firmware_job,
    stream_if.src  firmware_done,
    stream_if.snk  firmware_reply,
    stream_if.snk  firmware_notify,
    stream_if.src  firmware_control,
    stream_if.snk  firmware_control_ack,
    storage_if.mst firmware_storage
);
    logic       chosen_reg;
    logic [3:0] within_reg;      // a message has begun
    logic [7:0] reads_reg;       // of storage, not answered yet
    logic       offered_reg;     // a request stands before an engine that has not taken it
    logic [3:0] accept, last;
    logic       read, admit;

    stream_if #(.DATA_W(DATA_W)) admitted ();
    assign admit = chosen_reg == firmware || within_reg[3] || offered_reg;
    assign admitted.valid = request.valid && admit;
    assign admitted.last = request.last;
    assign admitted.data = request.data;
    assign admitted.bytes = request.bytes;
    assign admitted.user = request.user;
    assign request.ready = admitted.ready && admit;

    assign accept = {
        request.valid && request.ready, job.valid && job.ready, reply.valid && reply.ready, notify.valid && notify.ready
    };
    assign last = {request.last, job.last, reply.last, notify.last};
    assign read = storage.valid && storage.ready && !storage.write;

    always_ff @(posedge clk) begin
        within_reg <= within_reg & ~accept | accept & ~last;
        reads_reg <= reads_reg + 8'(read) - 8'(storage.rvalid);
        offered_reg <= admitted.valid && !admitted.ready;
        if (within_reg == '0 && accept == '0 && !admitted.valid && !done.valid && !control.valid
            && reads_reg == '0 && !storage.valid) begin
            chosen_reg <= firmware;
        end
        if (rst) begin
            chosen_reg <= firmware;
            within_reg <= '0;
            reads_reg <= '0;
            offered_reg <= 1'b0;
        end
    end

    stream_fork2 #(.DATA_W(DATA_W)) requests (
        .second(chosen_reg), .in(admitted), .out0(ramfs_request), .out1(firmware_request)
    );
    stream_fork2 #(.DATA_W(DATA_W)) dones (.second(chosen_reg), .in(done), .out0(ramfs_done), .out1(firmware_done));
    stream_fork2 #(.DATA_W(DATA_W)) controls (
        .second(chosen_reg), .in(control), .out0(ramfs_control), .out1(firmware_control)
    );
    stream_pick2 #(.DATA_W(DATA_W)) jobs (.second(chosen_reg), .in0(ramfs_job), .in1(firmware_job), .out(job));
    stream_pick2 #(.DATA_W(DATA_W)) replies (.second(chosen_reg), .in0(ramfs_reply), .in1(firmware_reply), .out(reply));
    stream_pick2 #(.DATA_W(DATA_W)) notices (
        .second(chosen_reg), .in0(ramfs_notify), .in1(firmware_notify), .out(notify)
    );
    stream_pick2 #(.DATA_W(DATA_W)) acks (
        .second(!ramfs_control_ack.valid), .in0(ramfs_control_ack), .in1(firmware_control_ack), .out(control_ack)
    );

    assign ramfs_storage.valid = storage.valid && !chosen_reg;
    assign ramfs_storage.write = storage.write;
    assign ramfs_storage.addr = storage.addr;
    assign ramfs_storage.wdata = storage.wdata;
    assign ramfs_storage.wstrb = storage.wstrb;
    assign firmware_storage.valid = storage.valid && chosen_reg;
    assign firmware_storage.write = storage.write;
    assign firmware_storage.addr = storage.addr;
    assign firmware_storage.wdata = storage.wdata;
    assign firmware_storage.wstrb = storage.wstrb;
    assign storage.ready = chosen_reg ? firmware_storage.ready : ramfs_storage.ready;
    assign storage.rvalid = chosen_reg ? firmware_storage.rvalid : ramfs_storage.rvalid;
    assign storage.rdata = chosen_reg ? firmware_storage.rdata : ramfs_storage.rdata;
endmodule
