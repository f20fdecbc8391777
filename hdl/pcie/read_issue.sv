// Picks the next read to send: client by priority (suppression, ring, gather, bulk), a free slot of that client's
// range, and builds the MRd. The slot's number is the tag.
module read_issue #(
    parameter int unsigned SLOTS = 32
) (
    input  logic                                            clk,
    input  logic                                            rst,
    input  logic                                            enable,
    input  logic [15:0]                                     requester_id,
    input  logic [endpoint_pkg::READ_CLIENTS-1:0]           sub_valid,
    output logic [endpoint_pkg::READ_CLIENTS-1:0]           sub_take,
    input  dma_pkg::sub_read_t [endpoint_pkg::READ_CLIENTS-1:0] sub,
    input  logic [SLOTS-1:0]                                free,
    // slot taken
    output logic                                            take,
    output dma_pkg::tag_t                                   take_tag,
    output dma_pkg::sub_read_t                              take_sub,
    // packet to rq
    output logic                                            valid,
    input  logic                                            ready,
    output logic [127:0]                                    hdr,
    output dma_pkg::tag_t                                   tag
);
    import endpoint_pkg::*;
    import dma_pkg::*;
    import tlp_pkg::*;

    logic [SLOTS-1:0] usable[READ_CLIENTS];
    logic [READ_CLIENTS-1:0] ready_client;
    for (genvar c = 0; c < int'(READ_CLIENTS); c++) begin : g_client
        localparam logic [31:0] MASK = slot_mask(SLOTS, c);
        assign usable[c] = free & MASK[SLOTS-1:0];
        assign ready_client[c] = sub_valid[c] && usable[c] != 0;
    end

    logic room;
    assign room = enable && (!valid || ready);

    logic [1:0] client;
    logic [SLOTS-1:0] candidates;
    always_comb begin
        if (ready_client[RD_SUPPRESS]) client = RD_SUPPRESS;
        else if (ready_client[RD_RING]) client = RD_RING;
        else if (ready_client[RD_GATHER]) client = RD_GATHER;
        else client = RD_BULK;
        take = room && ready_client != 0;
        candidates = usable[client];
        take_tag = '0;
        for (int i = int'(SLOTS) - 1; i >= 0; i--) if (candidates[i]) take_tag = tag_t'(i);
        take_sub = sub[client];
        sub_take = '0;
        sub_take[client] = take;
    end

    mem_request_t request;
    always_comb begin
        request = '0;
        request.requester_id = requester_id;
        request.tag = {3'b0, take_tag};
        request.addr = take_sub.addr;
        request.length = dword_count(take_sub.addr[1:0], take_sub.bytes);
        {request.last_be, request.first_be} = byte_enables(take_sub.addr[1:0], take_sub.bytes);
    end

    always_ff @(posedge clk) begin
        if (!valid || ready) valid <= take;
        if (take) begin
            hdr <= pack_mem_request(request);
            tag <= take_tag;
        end
        if (rst) valid <= 1'b0;
    end
endmodule
