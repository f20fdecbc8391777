// Gives the bytes of finished slots out: a client's slots in the order in which its requests were issued, as one
// contiguous stream a request. A word of RAM a cycle, for one client at a time (suppression, ring, gather, bulk);
// each client has its own buffer behind it, so one that stalls stops nobody else.
module slot_reader #(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned SLOTS = 32,
    localparam int unsigned WORDS = SLOTS * dma_pkg::SLOT_BYTES / (DATA_W / 8),
    localparam int unsigned ADDR_W = $clog2(WORDS)
) (
    input  logic                                  clk,
    input  logic                                  rst,
    input  logic [endpoint_pkg::READ_CLIENTS-1:0] push,        // slot taken for a client
    input  dma_pkg::slot_order_t                  push_order,
    input  logic [SLOTS-1:0]                      done,
    input  logic [SLOTS-1:0]                      bad,
    output logic                                  release_slot,
    output dma_pkg::tag_t                         release_tag,
    output logic                                  read,
    output logic [ADDR_W-1:0]                     read_addr,
    input  logic [DATA_W-1:0]                     read_data,
    stream_if.src                                 rsp[endpoint_pkg::READ_CLIENTS]
);
    import endpoint_pkg::*;
    import dma_pkg::*;

    localparam int unsigned LANE_W = $clog2(DATA_W / 8);
    localparam int unsigned TAG_W = $clog2(SLOTS);
    localparam int unsigned BUFFER = 4;

    typedef struct packed {
        logic              last;
        logic              error;
        logic [LANE_W-1:0] offset;
        logic [LANE_W:0]   bytes;
    } fragment_t;

    slot_order_t [READ_CLIENTS-1:0] head;
    logic [READ_CLIENTS-1:0] head_valid;
    logic [READ_CLIENTS-1:0] pop;
    logic [READ_CLIENTS-1:0] can_read;
    logic [READ_CLIENTS-1:0] full;           // no room for another word

    // ---- a word a cycle ----
    logic [9:0] given_reg[READ_CLIENTS];     // bytes of the head slot that were read
    logic [READ_CLIENTS-1:0] error_reg;      // an earlier slot of the same request was bad
    logic       fetched_reg;                 // read_data holds a word
    logic [1:0] client_reg;
    fragment_t  fragment_reg;

    always_comb begin
        for (int unsigned c = 0; c < READ_CLIENTS; c++) begin
            can_read[c] = head_valid[c] && done[head[c].tag[TAG_W-1:0]] && !full[c];
        end
    end

    logic [1:0]  client;
    slot_order_t slot;
    logic [8:0]  from;
    logic [9:0]  left;
    logic [LANE_W:0] width;
    logic        ends;
    fragment_t   fragment;
    always_comb begin
        if (can_read[RD_SUPPRESS]) client = RD_SUPPRESS;
        else if (can_read[RD_RING]) client = RD_RING;
        else if (can_read[RD_GATHER]) client = RD_GATHER;
        else client = RD_BULK;
        read = can_read != 0;
        slot = head[client];
        from = slot.start + given_reg[client][8:0];
        left = slot.bytes - given_reg[client];
        width = (LANE_W + 1)'(DATA_W / 8) - {1'b0, from[LANE_W-1:0]};
        ends = left <= 10'(width);
        fragment.offset = from[LANE_W-1:0];
        fragment.bytes = ends ? left[LANE_W:0] : width;
        fragment.last = ends && slot.last;
        fragment.error = error_reg[client] || bad[slot.tag[TAG_W-1:0]];
        read_addr = ADDR_W'({slot.tag, from[8:LANE_W]});
        pop = '0;
        pop[client] = read && ends;
        release_slot = read && ends;
        release_tag = slot.tag;
    end

    always_ff @(posedge clk) begin
        fetched_reg <= read;
        if (read) begin
            client_reg <= client;
            fragment_reg <= fragment;
            given_reg[client] <= ends ? '0 : given_reg[client] + 10'(fragment.bytes);
            error_reg[client] <= fragment.error && !fragment.last;
        end
        if (rst) begin
            fetched_reg <= 1'b0;
            error_reg <= '0;
            for (int unsigned c = 0; c < READ_CLIENTS; c++) given_reg[c] <= '0;
        end
    end

    // ---- a client's order, buffer and joining ----
    for (genvar c = 0; c < int'(READ_CLIENTS); c++) begin : g_client
        logic arrives;
        assign arrives = fetched_reg && client_reg == 2'(c);

        // verilator lint_off PINCONNECTEMPTY
        word_fifo #(.WIDTH($bits(slot_order_t)), .DEPTH(32)) order (
            .clk, .rst,
            .in_valid(push[c]), .in_ready(), .in_data(push_order),
            .out_valid(head_valid[c]), .out_ready(pop[c]), .out_data(head[c]), .count()
        );
        // verilator lint_on PINCONNECTEMPTY

        logic              word_valid;
        logic              word_ready;
        fragment_t         word_fragment;
        logic [DATA_W-1:0] word_data;
        logic [$clog2(BUFFER):0] words;
        // verilator lint_off PINCONNECTEMPTY
        word_fifo #(.WIDTH($bits(fragment_t) + DATA_W), .DEPTH(BUFFER)) buffer (
            .clk, .rst,
            .in_valid(arrives), .in_ready(), .in_data({fragment_reg, read_data}),
            .out_valid(word_valid), .out_ready(word_ready), .out_data({word_fragment, word_data}), .count(words)
        );
        // verilator lint_on PINCONNECTEMPTY
        assign full[c] = words + {{$clog2(BUFFER){1'b0}}, arrives} >= ($clog2(BUFFER) + 1)'(BUFFER);

        byte_pack #(.DATA_W(DATA_W), .USER_W(1)) pack (
            .clk, .rst,
            .in_valid(word_valid), .in_ready(word_ready), .in_last(word_fragment.last), .in_data(word_data),
            .in_offset(word_fragment.offset), .in_bytes(word_fragment.bytes), .in_user(word_fragment.error),
            .out_valid(rsp[c].valid), .out_ready(rsp[c].ready), .out_last(rsp[c].last), .out_data(rsp[c].data),
            .out_bytes(rsp[c].bytes), .out_user(rsp[c].user)
        );
    end
endmodule
