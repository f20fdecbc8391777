// The data mover: one queue of jobs and replies in the order of arrival. Inward jobs go to the bulk gather, everything
// else to the feeder and the scatter writer. Both halves run at once; tickets keep the order in which they touch
// storage: inward jobs write behind the replies that came before them, replies read behind the jobs.
//
// Not every output is of use.
// verilator lint_off PINCONNECTEMPTY
module data_mover
    import endpoint_pkg::*;
    import pipeline_pkg::*;
#(
    parameter int unsigned DATA_W = 256
) (
    input  logic              clk,
    input  logic              rst,
    input  logic              flush,
    input  logic              in_valid,
    output logic              in_ready,
    input  mover_cmd_t        in,
    input  logic              payload_valid,
    output logic              payload_ready,
    input  logic [DATA_W-1:0] payload,
    // Reads of the readable part.
    output logic              bulk_range_valid,
    input  logic              bulk_range_ready,
    output range_t            bulk_range,
    input  logic              bulk_piece_valid,
    output logic              bulk_piece_ready,
    input  piece_t            bulk_piece,
    output logic              req_valid,
    input  logic              req_ready,
    output read_req_t         req,
    stream_if.snk             rsp,
    // Writes to the writable part.
    output logic              range_valid,
    input  logic              range_ready,
    output range_t            range,
    input  logic              piece_valid,
    output logic              piece_ready,
    input  piece_t            piece,
    output logic              active,
    output lane_e             lane,
    output logic              cmd_valid,
    input  logic              cmd_ready,
    output write_cmd_t        cmd,
    stream_if.src             data,
    // Ends of jobs: inward, outward.
    output logic [1:0]        job_valid,
    input  logic [1:0]        job_ready,
    output job_end_t [1:0]    job,
    output logic              error_valid,
    input  logic              error_ready,
    output error_t            error,
    storage_if.mst            storage
);
    mover_cmd_t now;
    logic       now_valid;
    logic       now_ready;

    sync_fifo #(.WIDTH($bits(mover_cmd_t)), .DEPTH(64)) command_fifo (
        .clk, .rst(flush), .in_valid, .in_ready, .in_data(in),
        .out_valid(now_valid), .out_ready(now_ready), .out_data(now)
    );

    logic              word_valid;
    logic              word_ready;
    logic [DATA_W-1:0] word;
    sync_fifo #(.WIDTH(DATA_W), .DEPTH(128)) payload_fifo (
        .clk, .rst(flush), .in_valid(payload_valid), .in_ready(payload_ready), .in_data(payload),
        .out_valid(word_valid), .out_ready(word_ready), .out_data(word)
    );

    // ---- to the one half or to both parts of the other ----

    logic empty;
    logic bulk_valid;
    logic bulk_ready;
    logic feed_valid;
    logic feed_ready;
    logic part_valid;
    logic part_ready;

    assign empty = now.part.length == 0;
    assign bulk_valid = now_valid && now.gather;
    assign feed_valid = now_valid && !now.gather && !empty && part_ready;
    assign part_valid = now_valid && !now.gather && (empty || feed_ready);
    assign now_ready = now.gather ? bulk_ready : part_ready && (empty || feed_ready);

    logic [7:0] gathers_reg;     // given out
    logic [7:0] gathered_reg;    // done
    logic [7:0] reads_reg;
    logic [7:0] read_done_reg;
    logic       read_ended;

    always_ff @(posedge clk) begin
        if (flush) begin
            gathers_reg <= '0;
            gathered_reg <= '0;
            reads_reg <= '0;
            read_done_reg <= '0;
        end else begin
            gathers_reg <= gathers_reg + 8'(bulk_valid && bulk_ready);
            gathered_reg <= gathered_reg + 8'(job_valid[0] && job_ready[0]);
            reads_reg <= reads_reg + 8'(feed_valid && feed_ready && now.storage_length != 0);
            read_done_reg <= read_done_reg + 8'(read_ended);
        end
    end

    // ---- host to storage ----

    logic                write_valid;
    logic                write_ready;
    logic [31:0]         write_addr;
    logic [DATA_W-1:0]   write_data;
    logic [DATA_W/8-1:0] write_strb;
    logic                write_pending;

    bulk_gather #(.DATA_W(DATA_W)) bulk_gather (
        .clk, .flush,
        .in_valid(bulk_valid), .in_ready(bulk_ready), .in(now.part), .in_address(now.address),
        .in_after(reads_reg), .read_done(read_done_reg),
        .range_valid(bulk_range_valid), .range_ready(bulk_range_ready), .range(bulk_range),
        .piece_valid(bulk_piece_valid), .piece_ready(bulk_piece_ready), .piece(bulk_piece),
        .req_valid, .req_ready, .req, .rsp,
        .write_valid, .write_ready, .write_addr, .write_data, .write_strb, .write_pending,
        .job_valid(job_valid[0]), .job_ready(job_ready[0]), .job(job[0]),
        .error_valid, .error_ready, .error
    );

    // ---- storage to host ----

    logic              read_valid;
    logic              read_ready;
    logic [31:0]       read_addr;
    logic              stored_valid;
    logic              stored_ready;
    logic [DATA_W-1:0] stored;

    typedef struct packed {
        logic [31:0] immediate;
        logic [31:0] address;
        logic [31:0] storage_length;
        logic [7:0]  after;
    } feed_t;
    feed_t feed;
    logic  feed_out_valid;
    logic  feed_out_ready;
    word_fifo #(.WIDTH($bits(feed_t)), .DEPTH(8)) feed_fifo (
        .clk, .rst(flush),
        .in_valid(feed_valid), .in_ready(feed_ready),
        .in_data({now.immediate, now.address, now.storage_length, gathers_reg}),
        .out_valid(feed_out_valid), .out_ready(feed_out_ready), .out_data(feed), .count()
    );

    logic              fed_valid;
    logic              fed_ready;
    logic [DATA_W-1:0] fed;
    storage_feeder #(.DATA_W(DATA_W)) storage_feeder (
        .clk, .flush,
        .in_valid(feed_out_valid), .in_ready(feed_out_ready), .immediate(feed.immediate), .address(feed.address),
        .storage_length(feed.storage_length), .after(feed.after), .gathered(gathered_reg), .read_ended,
        .payload_valid(word_valid), .payload_ready(word_ready), .payload(word),
        .read_valid, .read_ready, .read_addr,
        .word_valid(stored_valid), .word_ready(stored_ready), .word(stored),
        .out_valid(fed_valid), .out_ready(fed_ready), .out(fed)
    );

    scatter_t part;
    logic     part_out_valid;
    logic     part_out_ready;
    word_fifo #(.WIDTH($bits(scatter_t)), .DEPTH(8)) part_fifo (
        .clk, .rst(flush),
        .in_valid(part_valid), .in_ready(part_ready), .in_data(now.part),
        .out_valid(part_out_valid), .out_ready(part_out_ready), .out_data(part), .count()
    );

    scatter_writer #(.DATA_W(DATA_W)) scatter_writer (
        .clk, .flush,
        .in_valid(part_out_valid), .in_ready(part_out_ready), .in(part),
        .word_valid(fed_valid), .word_ready(fed_ready), .word(fed),
        .range_valid, .range_ready, .range, .piece_valid, .piece_ready, .piece,
        .active, .lane, .cmd_valid, .cmd_ready, .cmd, .data,
        .job_valid(job_valid[1]), .job_ready(job_ready[1]), .job(job[1])
    );

    storage_arbiter #(.DATA_W(DATA_W)) storage_arbiter (
        .clk, .rst, .flush,
        .write_valid, .write_ready, .write_addr, .write_data, .write_strb, .write_pending,
        .read_valid, .read_ready, .read_addr,
        .word_valid(stored_valid), .word_ready(stored_ready), .word(stored),
        .storage
    );
endmodule
// verilator lint_on PINCONNECTEMPTY
