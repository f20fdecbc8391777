// Mover jobs from the host to storage: reads of at most 512 bytes run ahead, the next job's too; what comes back is
// written to storage at any byte address. A job ends when its last word is with the storage.
//
// Not every output is of use. `queue` is a virtqueue. Records are taken whole; not every field counts here.
// verilator lint_off PINCONNECTEMPTY
// verilator lint_off SYMRSVDWORD
// verilator lint_off UNUSEDSIGNAL
module bulk_gather
    import endpoint_pkg::*;
    import pipeline_pkg::*;
#(
    parameter int unsigned DATA_W = 256
) (
    input  logic                clk,
    input  logic                flush,
    input  logic                in_valid,
    output logic                in_ready,
    input  scatter_t            in,
    input  logic [31:0]         in_address,
    input  logic [7:0]          in_after,       // storage writes wait until that many replies are read
    input  logic [7:0]          read_done,
    output logic                range_valid,
    input  logic                range_ready,
    output range_t              range,
    input  logic                piece_valid,
    output logic                piece_ready,
    input  piece_t              piece,
    output logic                req_valid,
    input  logic                req_ready,
    output read_req_t           req,
    stream_if.snk               rsp,
    output logic                write_valid,
    input  logic                write_ready,
    output logic [31:0]         write_addr,
    output logic [DATA_W-1:0]   write_data,
    output logic [DATA_W/8-1:0] write_strb,
    input  logic                write_pending,  // a write is not with the storage yet
    output logic                job_valid,
    input  logic                job_ready,
    output job_end_t            job,
    output logic                error_valid,
    input  logic                error_ready,
    output error_t              error
);
    localparam int unsigned READ_BYTES = 512;
    localparam int unsigned BEAT = DATA_W / 8;
    localparam int unsigned LANE_W = $clog2(BEAT);

    // ---- ask ----

    typedef enum logic [1:0] { IDLE, RANGE, PIECE, READ } ask_e;
    ask_e        ask_reg;
    range_t      range_reg;
    logic [63:0] addr_reg;
    logic [31:0] left_reg;
    logic        last_reg;
    logic [9:0]  chunk;
    logic        order_in_ready;
    logic        job_in_ready;
    logic        asked;

    // Reads end at multiples of 512: those of a page never cross into the next one.
    always_comb begin
        chunk = 10'(READ_BYTES) - {1'b0, addr_reg[8:0]};
        if (left_reg < 32'(chunk)) chunk = left_reg[9:0];
    end

    assign in_ready = ask_reg == IDLE && job_in_ready;
    assign range_valid = ask_reg == RANGE;
    assign range = range_reg;
    assign piece_ready = ask_reg == PIECE;
    assign req_valid = ask_reg == READ && order_in_ready;
    assign req.addr = addr_reg;
    assign req.bytes = chunk;
    assign asked = req_valid && req_ready;

    always_ff @(posedge clk) begin
        if (flush) begin
            ask_reg <= IDLE;
        end else begin
            case (ask_reg)
                IDLE: if (in_valid && in_ready) begin
                    range_reg.ctx <= in.ctx;
                    range_reg.write <= 1'b0;
                    range_reg.offset <= in.offset;
                    range_reg.length <= in.length;
                    ask_reg <= in.length != 0 ? RANGE : IDLE;
                end
                RANGE: if (range_ready) ask_reg <= PIECE;
                PIECE: if (piece_valid) begin
                    addr_reg <= piece.addr;
                    left_reg <= piece.len;
                    last_reg <= piece.last;
                    ask_reg <= READ;
                end
                default: if (asked) begin
                    addr_reg <= addr_reg + 64'(chunk);
                    left_reg <= left_reg - 32'(chunk);
                    if (left_reg == 32'(chunk)) ask_reg <= last_reg ? IDLE : PIECE;
                end
            endcase
        end
    end

    // ---- what is under way: reads, and jobs ----

    typedef struct packed {
        logic        last;
        logic [63:0] addr;
    } order_t;
    order_t order;
    logic   order_valid;

    word_fifo #(.WIDTH($bits(order_t)), .DEPTH(64)) order_fifo (
        .clk, .rst(flush),
        .in_valid(asked), .in_ready(order_in_ready), .in_data({last_reg && left_reg == 32'(chunk), addr_reg}),
        .out_valid(order_valid), .out_ready(rsp.valid && rsp.ready && rsp.last), .out_data(order), .count()
    );

    typedef struct packed {
        context_t    ctx;
        queue_t      queue;
        logic [31:0] address;
        logic [31:0] length;
        logic [7:0]  after;
    } job_t;
    job_t next;
    logic next_valid;

    typedef enum logic [2:0] { NEXT, HOLD, WRITE, LOG, DONE } store_e;
    store_e store_reg;

    word_fifo #(.WIDTH($bits(job_t)), .DEPTH(16)) job_fifo (
        .clk, .rst(flush),
        .in_valid(in_valid && ask_reg == IDLE), .in_ready(job_in_ready),
        .in_data({in.ctx, in.queue, in_address, in.length, in_after}),
        .out_valid(next_valid), .out_ready(store_reg == NEXT), .out_data(next), .count()
    );

    // ---- bytes that come back ----

    logic              failed_reg;
    logic [63:0]       failed_addr_reg;
    logic              fails;
    logic [63:0]       fails_addr;
    logic              pack_ready;
    logic              word_valid;
    logic              word_taken;
    logic              word_last;
    logic [DATA_W-1:0] word;
    logic [64:0]       word_user;

    assign rsp.ready = pack_ready && order_valid;
    assign fails = failed_reg || rsp.user[0];
    assign fails_addr = failed_reg ? failed_addr_reg : order.addr;

    always_ff @(posedge clk) begin
        if (flush) begin
            failed_reg <= 1'b0;
        end else if (rsp.valid && rsp.ready && rsp.last) begin
            failed_reg <= fails && !order.last;
            failed_addr_reg <= fails_addr;
        end
    end

    byte_pack #(.DATA_W(DATA_W), .USER_W(65)) pack (
        .clk, .rst(flush),
        .in_valid(rsp.valid && order_valid), .in_ready(pack_ready), .in_last(rsp.last && order.last),
        .in_data(rsp.data), .in_offset('0), .in_bytes(rsp.bytes), .in_user({fails, fails_addr}),
        .out_valid(word_valid), .out_ready(word_taken), .out_last(word_last), .out_data(word), .out_bytes(),
        .out_user(word_user)
    );

    // ---- to storage ----

    job_t              job_reg;
    logic              complete_reg;    // the job's last word is here; the word behind it waits
    logic [64:0]       user_reg;
    logic              empty_reg;       // a job of no bytes
    logic              have;
    logic              unpack_ready;
    logic [LANE_W-1:0] offset;
    logic [LANE_W:0]   bytes;
    logic              ends;

    assign word_taken = word_valid && unpack_ready && !complete_reg;
    assign offset = job_reg.address[LANE_W-1:0];
    assign ends = job_reg.length <= BEAT - 32'(offset);
    assign bytes = ends ? job_reg.length[LANE_W:0] : (LANE_W + 1)'(BEAT) - (LANE_W + 1)'(offset);

    byte_unpack #(.DATA_W(DATA_W)) unpack (
        .clk, .rst(flush),
        .in_valid(word_valid && !complete_reg), .in_ready(unpack_ready), .in_data(word),
        .select(store_reg == WRITE), .take(write_valid && write_ready), .offset, .bytes, .finish(ends),
        .have, .data(write_data), .held(), .position()
    );

    assign write_valid = store_reg == WRITE && have;
    assign write_addr = {job_reg.address[31:LANE_W], {LANE_W{1'b0}}};
    assign write_strb = ~({BEAT{1'b1}} << bytes) << offset;

    assign job_valid = store_reg == DONE && !write_pending;
    assign job.ctx = job_reg.ctx;
    assign job.result = user_reg[64] && !empty_reg ? JOB_BUS_ERROR : JOB_OK;
    assign error_valid = store_reg == LOG && user_reg[64];
    assign error = make_error(ERR_PAYLOAD_READ, 1'b0, job_reg.queue, user_reg[63:0]);

    logic [7:0] behind;
    assign behind = read_done - job_reg.after;

    always_ff @(posedge clk) begin
        if (flush) begin
            store_reg <= NEXT;
            complete_reg <= 1'b0;
        end else begin
            if (word_taken && word_last) begin
                complete_reg <= 1'b1;
                user_reg <= word_user;
            end
            case (store_reg)
                NEXT: if (next_valid) begin
                    job_reg <= next;
                    store_reg <= HOLD;
                    empty_reg <= next.length == 0;
                end
                HOLD: if (!behind[7]) store_reg <= empty_reg ? DONE : WRITE;
                WRITE: if (write_valid && write_ready) begin
                    job_reg.address <= job_reg.address + 32'(bytes);
                    job_reg.length <= job_reg.length - 32'(bytes);
                    if (ends) store_reg <= LOG;
                end
                LOG: if (error_ready || !user_reg[64]) store_reg <= DONE;
                default: if (job_valid && job_ready) begin
                    if (!empty_reg) complete_reg <= 1'b0;
                    store_reg <= NEXT;
                end
            endcase
        end
    end
endmodule
// verilator lint_on PINCONNECTEMPTY
// verilator lint_on SYMRSVDWORD
// verilator lint_on UNUSEDSIGNAL
