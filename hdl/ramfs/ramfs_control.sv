// Resets as the engine sees them.
//
// Of the device: as soon as one is announced, jobs are waited for no more and windows are closed; when the operation
// that is on has ended, so does the session, and the new epoch is acknowledged.
//
// Of a queue: what is here already is answered, what waits for a lock is forgotten, and that is acknowledged. Requests
// of other queues go on meanwhile. A reset of the device ends this without an answer.
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
    output logic   pending,          // a reset of the device is announced: no operation may begin
    input  logic   idle,             // none is on
    output logic   finish,           // the session has to end
    input  logic   finished,
    // The reset of a queue.
    output logic   mark,             // one cycle
    input  logic   passed,           // what was here then is answered, or waits
    output logic   forget_valid,
    input  logic   forget_ready,
    output logic [3:0] forget_queue,
    input  logic   forget_done,
    input  logic   quiet             // all that waited is answered
);
    typedef enum logic [1:0] { IDLE, FINISH, ACKNOWLEDGE } state_e;
    typedef enum logic [2:0] { NONE, PASS, FORGET, FORGOTTEN, SETTLE, ANSWER } queue_state_e;
    state_e          state_reg;
    queue_state_e    queue_state_reg;
    engine_control_t control;
    engine_control_t queue_reg;
    logic            of_device;
    logic            of_queue;

    assign control = engine_control_t'(engine_control.user);
    assign of_device = engine_control.valid && control.kind == CONTROL_DEVICE_RESET;
    assign of_queue = engine_control.valid && control.kind != CONTROL_DEVICE_RESET && queue_state_reg == NONE;
    assign pending = of_device;
    assign finish = state_reg == IDLE && of_device && idle;
    assign mark = of_queue;
    assign forget_valid = queue_state_reg == FORGET;
    assign forget_queue = queue_reg.queue[3:0];

    // The answer of a queue's reset goes first.
    logic answers;
    assign answers = queue_state_reg == ANSWER;
    assign engine_control.ready = of_queue || (state_reg == ACKNOWLEDGE && !answers && engine_control_ack.ready);
    assign engine_control_ack.valid = answers || state_reg == ACKNOWLEDGE;
    assign engine_control_ack.last = 1'b1;
    assign engine_control_ack.data = '0;
    assign engine_control_ack.bytes = '0;
    assign engine_control_ack.user = answers ? queue_reg : control;

    always_ff @(posedge clk) begin
        case (state_reg)
            IDLE: if (of_device && idle) state_reg <= FINISH;
            FINISH: if (finished) begin
                epoch <= epoch_t'(control.epoch);
                state_reg <= ACKNOWLEDGE;
            end
            default: if (!answers && engine_control_ack.ready) state_reg <= IDLE;
        endcase
        case (queue_state_reg)
            NONE: if (of_queue) begin
                queue_reg <= control;
                queue_state_reg <= PASS;
            end
            PASS: if (passed) queue_state_reg <= FORGET;
            FORGET: if (forget_ready) queue_state_reg <= FORGOTTEN;
            FORGOTTEN: if (forget_done) queue_state_reg <= SETTLE;
            SETTLE: if (quiet) queue_state_reg <= ANSWER;
            default: if (engine_control_ack.ready) queue_state_reg <= NONE;
        endcase
        if (of_device && !answers) queue_state_reg <= NONE;
        if (rst) begin
            state_reg <= IDLE;
            queue_state_reg <= NONE;
            epoch <= '0;
        end
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
