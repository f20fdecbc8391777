// Invalidations of inodes that found no room in the message store, one place for each inode. One that has a place
// already takes in what comes; the oldest leaves first.
module inval_table
    import notify_pkg::*;
#(
    parameter int unsigned PLACES = 8
) (
    input  logic   clk,
    input  logic   rst,            // also empties it
    input  logic   put,
    input  inval_t inval,
    output logic   known,          // its inode has a place already
    output logic   fits,           // it would be taken in
    output logic   valid,
    output inval_t oldest,
    input  logic   take            // the oldest leaves; never together with `put`
);
    localparam int unsigned COUNT_W = $clog2(PLACES + 1);

    typedef struct packed {
        logic [63:0] nodeid;
        logic        contents;                 // else attributes only
        logic        open;                     // to the end of the file
        logic [63:0] from;
        logic [63:0] to;
    } place_t;

    place_t              places [PLACES];      // the oldest first
    logic [COUNT_W-1:0]  count_reg;
    logic [PLACES-1:0]   hits;
    place_t              there;                // the inode's, if it has one
    place_t              come;
    place_t              merged;

    always_comb begin
        come.nodeid = inval.nodeid;
        come.contents = !inval.offset[63];
        come.open = inval.length == '0;
        come.from = inval.offset;
        come.to = inval.offset + inval.length;
        there = '0;
        for (int i = 0; i < int'(PLACES); i++) begin
            hits[i] = COUNT_W'(i) < count_reg && places[i].nodeid == inval.nodeid;
            if (hits[i]) there = places[i];
        end
        merged = there;
        if (!there.contents) begin
            merged = come;
        end else if (come.contents) begin
            merged.open = there.open || come.open;
            if (come.from < there.from) merged.from = come.from;
            if (come.to > there.to) merged.to = come.to;
        end
    end

    assign known = hits != '0;
    assign fits = known || count_reg != COUNT_W'(PLACES);
    assign valid = count_reg != '0;
    assign oldest.nodeid = places[0].nodeid;
    assign oldest.offset = places[0].contents ? places[0].from : ATTRIBUTES_ONLY;
    assign oldest.length = places[0].contents && !places[0].open ? places[0].to - places[0].from : '0;

    always_ff @(posedge clk) begin
        for (int i = 0; i < int'(PLACES); i++) begin
            if (put && (hits[i] || (!known && COUNT_W'(i) == count_reg))) places[i] <= merged;
            if (take && i + 1 < int'(PLACES)) places[i] <= places[(i + 1) % int'(PLACES)];
        end
        if (put && !known && fits) count_reg <= count_reg + 1'b1;
        else if (take) count_reg <= count_reg - 1'b1;
        if (rst) count_reg <= '0;
    end
endmodule
