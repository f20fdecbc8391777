// Replies of the high priority lane that consist of immediate bytes or nothing: a queue and a writer of their own, so
// that they never wait for the data mover.
//
// Not every output is of use.
// verilator lint_off PINCONNECTEMPTY
module express_reply
    import endpoint_pkg::*;
    import pipeline_pkg::*;
#(
    parameter int unsigned DATA_W = 256
) (
    input  logic              clk,
    input  logic              flush,
    input  logic              in_valid,
    output logic              in_ready,
    input  scatter_t          in,
    input  logic              payload_valid,
    output logic              payload_ready,
    input  logic [DATA_W-1:0] payload,
    output logic              range_valid,
    input  logic              range_ready,
    output range_t            range,
    input  logic              piece_valid,
    output logic              piece_ready,
    input  piece_t            piece,
    output logic              active,
    output logic              cmd_valid,
    input  logic              cmd_ready,
    output write_cmd_t        cmd,
    stream_if.src             data
);
    scatter_t          now;
    logic              now_valid;
    logic              now_ready;
    logic              word_valid;
    logic              word_ready;
    logic [DATA_W-1:0] word;

    word_fifo #(.WIDTH($bits(scatter_t)), .DEPTH(8)) command_fifo (
        .clk, .rst(flush), .in_valid, .in_ready, .in_data(in),
        .out_valid(now_valid), .out_ready(now_ready), .out_data(now), .count()
    );
    sync_fifo #(.WIDTH(DATA_W), .DEPTH(64)) payload_fifo (
        .clk, .rst(flush), .in_valid(payload_valid), .in_ready(payload_ready), .in_data(payload),
        .out_valid(word_valid), .out_ready(word_ready), .out_data(word)
    );
    scatter_writer #(.DATA_W(DATA_W)) scatter_writer (
        .clk, .flush,
        .in_valid(now_valid), .in_ready(now_ready), .in(now), .word_valid, .word_ready, .word,
        .range_valid, .range_ready, .range, .piece_valid, .piece_ready, .piece,
        .active, .lane(), .cmd_valid, .cmd_ready, .cmd, .data,
        .job_valid(), .job_ready(1'b1), .job()
    );
endmodule
// verilator lint_on PINCONNECTEMPTY
