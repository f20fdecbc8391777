// Records of a listing, put in by 8 bytes behind 16 bytes that are left void for fuse_out_header, then sent as one
// stream.
module listing_buffer
    import ramfs_pkg::*;
#(
    parameter int unsigned DATA_W = 256
) (
    input  logic        clk,
    input  logic        rst,
    input  logic        begin_listing,      // forget what was put in; not while sending
    input  logic        put,
    input  logic [63:0] put_data,
    output logic [12:0] bytes,              // of records
    input  logic        send,               // one cycle
    output logic        sending,
    stream_if.src       listing
);
    localparam int unsigned BEAT = DATA_W / 8;
    localparam int unsigned LANES = DATA_W / 64;
    localparam int unsigned LANE_W = $clog2(LANES);
    localparam int unsigned WORDS = PAGE_BYTES / BEAT;
    localparam int unsigned WORD_W = $clog2(WORDS);

    typedef logic [WORD_W-1:0] word_index_t;

    // ---- one memory a lane ----
    logic [8:0]        fill_reg;            // the next 8 bytes
    word_index_t       read_index;
    logic              read;
    assign bytes = {1'b0, fill_reg - 9'd2, 3'b0};

    for (genvar lane = 0; lane < LANES; lane++) begin : gen_lane
        logic [63:0] mem [WORDS];
        logic [63:0] read_reg;
        always_ff @(posedge clk) begin
            if (put && fill_reg[LANE_W-1:0] == LANE_W'(lane)) mem[fill_reg[8:LANE_W]] <= put_data;
            if (read) read_reg <= mem[read_index];
        end
        assign listing.data[64 * lane +: 64] = read_reg;
    end

    // ---- the stream ----
    word_index_t word_reg;                  // that the stream shows
    word_index_t last_word;
    logic        taken;

    assign last_word = word_index_t'((fill_reg - 9'd1) >> LANE_W);
    assign taken = listing.valid && listing.ready;
    assign read = send || (taken && !listing.last);
    assign read_index = send ? '0 : word_reg + word_index_t'(1);

    assign listing.valid = sending;
    assign listing.last = word_reg == last_word;
    assign listing.bytes = listing.last ? {1'b0, fill_reg[LANE_W-1:0] - LANE_W'(1), 3'b0} + (LANE_W + 4)'(8)
        : (LANE_W + 4)'(BEAT);
    assign listing.user = '0;

    always_ff @(posedge clk) begin
        if (begin_listing) fill_reg <= 9'd2;
        else if (put) fill_reg <= fill_reg + 9'd1;
        if (read) word_reg <= read_index;
        if (rst) sending <= 1'b0;
        else if (send) sending <= 1'b1;
        else if (taken && listing.last) sending <= 1'b0;
    end
endmodule
