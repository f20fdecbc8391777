// Joins the endpoint's request packets onto rq: interrupts first, then memory writes and reads in turn. Combinational
// from source to rq, so what a source sees accepted has left on rq, in that order.
//
// A read is not started while rq_np_ok is 0, and then holds up nothing. QUIESCE lets the packet on rq finish and
// starts none. `posted_granted` counts posted packets shown on rq, `posted_sent` those whose last beat was accepted.
module rq_arbiter #(
    parameter int unsigned DATA_W = 256
) (
    input  logic                     clk,
    input  logic                     rst,
    input  endpoint_pkg::reset_req_t reset,
    tlp_if.snk                       posted,
    tlp_if.snk                       messages,
    tlp_if.snk                       reads,
    input  logic                     rq_np_ok,
    tlp_if.src                       rq,
    output logic [7:0]               posted_granted,
    output logic [7:0]               posted_sent,
    output logic                     idle            // no packet is on rq
);
    if (DATA_W % 32 != 0) begin : g_check
        $fatal(1, "rq_arbiter: DATA_W must be whole dwords");
    end

    typedef enum logic [1:0] {
        PICK_NONE,
        PICK_POSTED,
        PICK_MESSAGES,
        PICK_READS
    } pick_e;

    pick_e held_reg;           // packet on rq that has not ended
    logic  reads_first_reg;    // a posted packet went last
    pick_e pick;
    logic  read_can_go;

    assign read_can_go = reads.valid && rq_np_ok;

    always_comb begin
        pick = held_reg;
        if (held_reg == PICK_NONE && !reset.quiesce && !reset.clear) begin
            if (messages.valid) pick = PICK_MESSAGES;
            else if (read_can_go && (reads_first_reg || !posted.valid)) pick = PICK_READS;
            else if (posted.valid) pick = PICK_POSTED;
        end
    end

    always_comb begin
        rq.valid = 1'b0;
        rq.last = posted.last;
        rq.hdr = posted.hdr;
        rq.data = posted.data;
        case (pick)
            PICK_POSTED: rq.valid = posted.valid;
            PICK_MESSAGES: begin
                rq.valid = messages.valid;
                rq.last = messages.last;
                rq.hdr = messages.hdr;
                rq.data = messages.data;
            end
            PICK_READS: begin
                rq.valid = reads.valid;
                rq.last = reads.last;
                rq.hdr = reads.hdr;
                rq.data = reads.data;
            end
            default: ;
        endcase
    end
    assign posted.ready = pick == PICK_POSTED && rq.ready;
    assign messages.ready = pick == PICK_MESSAGES && rq.ready;
    assign reads.ready = pick == PICK_READS && rq.ready;
    assign idle = pick == PICK_NONE;

    logic ends;
    assign ends = rq.valid && rq.ready && rq.last;

    always_ff @(posedge clk) begin
        held_reg <= ends ? PICK_NONE : pick;
        if (held_reg == PICK_NONE && (pick == PICK_POSTED || pick == PICK_MESSAGES)) posted_granted <= posted_granted + 1'b1;
        if (ends && pick != PICK_READS) posted_sent <= posted_sent + 1'b1;
        if (ends && pick != PICK_MESSAGES) reads_first_reg <= pick == PICK_POSTED;
        if (rst) begin
            held_reg <= PICK_NONE;
            reads_first_reg <= 1'b0;
            posted_granted <= '0;
            posted_sent <= '0;
        end
    end
endmodule
