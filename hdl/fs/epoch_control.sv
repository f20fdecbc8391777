// Device resets as the data path sees them: when to forget everything, and which epoch messages belong to. Each new
// epoch is told to the engine; one that the engine has not acknowledged is not used again. Between them, resets of
// queues are told.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module epoch_control
    import endpoint_pkg::*;
(
    input  logic          clk,
    input  logic          rst,
    input  reset_req_t    reset,
    input  device_state_t device,
    output logic          flush,       // forget
    output logic          serve,       // queues may be served
    output epoch_t        epoch,
    input  logic          tell_valid,  // the engine has to forget this queue's requests
    output logic          tell_ready,
    input  queue_t        tell_queue,
    output logic          told,        // pulse: it has
    stream_if.src         engine_control,
    stream_if.snk         engine_control_ack
);
    logic            clear_reg;
    logic            change_reg;       // a new epoch is due
    epoch_t          told_reg;
    epoch_t          acknowledged_reg;
    logic            valid_reg;
    engine_control_t control_reg;
    engine_control_t answer;

    assign flush = rst || reset.clear;
    assign serve = device.driver_ok && !reset.quiesce && !reset.clear && !change_reg;
    assign answer = engine_control_t'(engine_control_ack.user);
    assign engine_control.valid = valid_reg;
    assign engine_control.last = 1'b1;
    assign engine_control.data = '0;
    assign engine_control.bytes = '0;
    assign engine_control.user = control_reg;
    assign engine_control_ack.ready = 1'b1;

    epoch_t next_told;
    logic   tell;
    assign next_told = told_reg + 1'b1;
    assign tell_ready = !valid_reg && !flush && !change_reg && told_reg == epoch;
    assign tell = tell_valid && tell_ready;
    assign told = engine_control_ack.valid && answer.kind == CONTROL_QUEUE_RESET && answer.queue == 8'(tell_queue)
        && answer.epoch == 8'(epoch);

    always_ff @(posedge clk) begin
        clear_reg <= reset.clear;
        if (reset.clear && !clear_reg) begin
            change_reg <= 1'b1;
        end else if (change_reg && epoch - acknowledged_reg < 4'd7) begin
            change_reg <= 1'b0;
            epoch <= epoch + 1'b1;
        end
        if (!valid_reg && told_reg != epoch) begin
            valid_reg <= 1'b1;
            told_reg <= next_told;
            control_reg <= '0;
            control_reg.epoch <= 8'(next_told);
        end else if (tell) begin
            valid_reg <= 1'b1;
            control_reg <= '{kind: CONTROL_QUEUE_RESET, queue: 8'(tell_queue), epoch: 8'(epoch), default: '0};
        end else if (engine_control.ready) begin
            valid_reg <= 1'b0;
        end
        // Only an epoch that was told and is not acknowledged yet.
        if (engine_control_ack.valid && answer.kind == CONTROL_DEVICE_RESET &&
            epoch_t'(answer.epoch) - acknowledged_reg <= told_reg - acknowledged_reg) begin
            acknowledged_reg <= epoch_t'(answer.epoch);
        end
        if (rst) begin
            clear_reg <= 1'b0;
            change_reg <= 1'b0;
            epoch <= '0;
            told_reg <= '0;
            acknowledged_reg <= '0;
            valid_reg <= 1'b0;
        end
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
