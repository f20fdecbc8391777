// Decides on used buffer notifications (virtio 1.4, 2.7.7 "Used Buffer Notification Suppression"): after a used
// index has left on rq, the available ring's flags are read, and unless VIRTQ_AVAIL_F_NO_INTERRUPT is set the queue's
// interrupt is wanted. The read is issued after the index: a flag seen earlier loses interrupts.
//
// One bit a queue waits, so used entries of a queue that meet the same read share its answer, and nobody waits for it.
module used_interrupt (
    input  logic                                   clk,
    input  logic                                   rst,
    input  logic                                   enable,
    input  endpoint_pkg::queue_cfgs_t              queues,
    input  logic                                   used,           // a used index left on rq
    input  endpoint_pkg::queue_t                   used_queue,

    output logic                                   sup_valid,
    input  logic                                   sup_ready,
    output endpoint_pkg::read_req_t                sup,
    stream_if.snk                                  sup_rsp,

    output logic                                   irq_valid,
    input  logic                                   irq_ready,
    output endpoint_pkg::queue_t                   irq_queue,
    output logic                                   suppressed,     // one-cycle pulse
    output logic                                   error_valid,
    input  logic                                   error_ready,
    output endpoint_pkg::error_t                   error
);
    import endpoint_pkg::*;

    localparam int unsigned READS = 4;

    // ---- queues that wait for their read, lowest behind the last one first ----
    logic [MAX_QUEUES-1:0] wait_reg;
    logic [MAX_QUEUES-1:0] behind_reg;
    logic [MAX_QUEUES-1:0] from;
    queue_t                queue;
    logic                  issue;
    logic                  flight_room;
    always_comb begin
        from = (wait_reg & behind_reg) != 0 ? wait_reg & behind_reg : wait_reg;
        queue = '0;
        for (int q = int'(MAX_QUEUES) - 1; q >= 0; q--) if (from[q]) queue = queue_t'(q);
        issue = enable && wait_reg != 0 && flight_room && (!sup_valid || sup_ready);
    end

    always_ff @(posedge clk) begin
        if (issue) begin
            wait_reg[queue] <= 1'b0;
            behind_reg <= ~(((MAX_QUEUES)'(2) << queue) - 1'b1);
            sup <= '{addr: queues[queue].driver, bytes: 10'd2};
        end
        if (used) wait_reg[used_queue] <= 1'b1;
        if (!sup_valid || sup_ready) sup_valid <= issue;
        if (rst) begin
            wait_reg <= '0;
            behind_reg <= '0;
            sup_valid <= 1'b0;
        end
    end

    // ---- reads that are out ----
    queue_t answered;
    logic   answer;
    logic   room;
    assign room = (!irq_valid || irq_ready) && (!error_valid || error_ready);
    assign sup_rsp.ready = room;
    assign answer = sup_rsp.valid && room && sup_rsp.last;
    // verilator lint_off PINCONNECTEMPTY
    word_fifo #(.WIDTH($bits(queue_t)), .DEPTH(READS)) flight (
        .clk, .rst, .in_valid(issue), .in_ready(flight_room), .in_data(queue),
        .out_valid(), .out_ready(answer), .out_data(answered), .count()
    );
    // verilator lint_on PINCONNECTEMPTY

    // ---- decision ----
    logic failed;
    logic quiet;
    assign failed = answer && sup_rsp.user[0];
    assign quiet = sup_rsp.data[0];    // VIRTQ_AVAIL_F_NO_INTERRUPT
    assign suppressed = answer && !failed && quiet;
    always_ff @(posedge clk) begin
        if (!irq_valid || irq_ready) begin
            irq_valid <= answer && !failed && !quiet;
            irq_queue <= answered;
        end
        if (!error_valid || error_ready) begin
            error_valid <= failed;
            error <= '{code: ERR_RING_READ, fatal: 1'b1, queue: answered, address: queues[answered].driver};
        end
        if (rst) begin
            irq_valid <= 1'b0;
            error_valid <= 1'b0;
        end
    end
endmodule
