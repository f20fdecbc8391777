// Device resets as the engine sees them. As soon as one is announced, jobs are waited for no more and windows are
// closed; when the operation that is on has ended, so does the session, and the new epoch is acknowledged.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module ramfs_control
    import endpoint_pkg::*;
(
    input  logic   clk,
    input  logic   rst,
    stream_if.snk  engine_control,
    stream_if.src  engine_control_ack,
    output epoch_t epoch,
    output logic   pending,          // a reset is announced: no operation may begin
    input  logic   idle,             // none is on
    output logic   finish,           // the session has to end
    input  logic   finished
);
    localparam logic [7:0] DEVICE_RESET = 8'd0;

    typedef enum logic [1:0] { IDLE, FINISH, ACKNOWLEDGE } state_e;
    state_e          state_reg;
    engine_control_t control;

    assign control = engine_control_t'(engine_control.user);
    assign pending = engine_control.valid;
    assign finish = state_reg == IDLE && engine_control.valid && idle && control.kind == DEVICE_RESET;
    assign engine_control.ready = state_reg == ACKNOWLEDGE && engine_control_ack.ready;
    assign engine_control_ack.valid = state_reg == ACKNOWLEDGE;
    assign engine_control_ack.last = 1'b1;
    assign engine_control_ack.data = '0;
    assign engine_control_ack.bytes = '0;
    assign engine_control_ack.user = engine_control.user;

    always_ff @(posedge clk) begin
        case (state_reg)
            IDLE: if (engine_control.valid && idle) state_reg <= control.kind == DEVICE_RESET ? FINISH : ACKNOWLEDGE;
            FINISH: if (finished) begin
                epoch <= epoch_t'(control.epoch);
                state_reg <= ACKNOWLEDGE;
            end
            default: if (engine_control_ack.ready) state_reg <= IDLE;
        endcase
        if (rst) begin
            state_reg <= IDLE;
            epoch <= '0;
        end
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
