// What is known of each context: its chain, the first window of segments, and where the walk stood behind that window.
// The windows behind those of the contexts belong to the cursors.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module context_table
    import endpoint_pkg::*;
    import pipeline_pkg::*;
#(
    parameter int unsigned CONTEXTS = 32
) (
    input  logic                     clk,
    // From chain fetch.
    input  logic                     info_valid,
    input  chain_info_t              info_in,
    input  logic                     resume_valid,
    input  context_t                 resume_ctx,
    input  position_t                resume_in,
    input  logic                     segment_valid,
    input  slot_t                    segment_slot,
    input  logic [3:0]               segment_index,
    input  segment_t                 segment_in,
    // Read in the same cycle.
    input  context_t [LOOKS-1:0]     look_ctx,
    output chain_info_t [LOOKS-1:0]  look_info,
    output position_t [CURSORS-1:0]  look_resume,
    // Read one cycle later.
    input  slot_t [CURSORS-1:0]      window_slot,
    input  logic [CURSORS-1:0][3:0]  window_index,
    output segment_t [CURSORS-1:0]   window_segment
);
    localparam int unsigned CW = $clog2(CONTEXTS);
    localparam int unsigned SLOTS = 2 ** $clog2(CONTEXTS + CURSORS);
    localparam int unsigned SW = $clog2(SLOTS);

    chain_info_t info_mem [CONTEXTS];
    position_t   resume_mem [CONTEXTS];
    segment_t    window_mem [SLOTS * WINDOW];

    always_ff @(posedge clk) begin
        if (info_valid) info_mem[info_in.chain.ctx[CW-1:0]] <= info_in;
        if (resume_valid) resume_mem[resume_ctx[CW-1:0]] <= resume_in;
        if (segment_valid) window_mem[{segment_slot[SW-1:0], segment_index}] <= segment_in;
    end

    for (genvar l = 0; l < LOOKS; l++) begin : gen_look
        assign look_info[l] = info_mem[look_ctx[l][CW-1:0]];
    end
    for (genvar c = 0; c < CURSORS; c++) begin : gen_window
        assign look_resume[c] = resume_mem[look_ctx[c][CW-1:0]];
        always_ff @(posedge clk) begin
            window_segment[c] <= window_mem[{window_slot[c][SW-1:0], window_index[c]}];
        end
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
