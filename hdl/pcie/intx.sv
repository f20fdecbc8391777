// INTA as messages: Assert_INTA where the level rises, Deassert_INTA where it falls; each is only begun when the host
// has taken the one before. They share the channel of MSI-X messages. Bus Master Enable does not hold them: it is about
// memory requests (PCIe Base Specification, Command register).
//
// A reset takes back an Assert_INTA that stands before the arbiter; the Deassert_INTA of one that left is sent in any
// case.
module intx
    import endpoint_pkg::*;
#(
    parameter int unsigned DATA_W = 256
) (
    input  logic        clk,
    input  logic        rst,
    input  reset_req_t  reset,
    input  logic [15:0] requester_id,
    input  logic        level,
    tlp_if.snk          msix,
    input  logic        msix_gone,
    tlp_if.src          message,
    output logic        message_gone,   // taken, or taken back
    output logic        quiet           // the host takes INTA for low, and nothing is on its way
);
    logic told_reg;      // what the host takes INTA for
    logic valid_reg;     // a message that says the opposite
    logic shown_reg;     // it is on `message`, and stays there
    logic pick, taken, taken_back;

    assign pick = shown_reg || (valid_reg && !msix.valid);
    assign taken = pick && message.ready;
    assign taken_back = valid_reg && reset.clear && !told_reg;

    always_ff @(posedge clk) begin
        shown_reg <= pick && !taken && !taken_back;
        if (taken) told_reg <= !told_reg;
        if (taken || taken_back) valid_reg <= 1'b0;
        else if (!valid_reg && !reset.quiesce) valid_reg <= level != told_reg;
        if (rst) begin
            told_reg <= 1'b0;
            valid_reg <= 1'b0;
            shown_reg <= 1'b0;
        end
    end
    assign quiet = !told_reg && !valid_reg;

    assign message.valid = pick || msix.valid;
    assign message.last = 1'b1;
    assign message.hdr = pick ? tlp_pkg::pack_message(
        requester_id, told_reg ? tlp_pkg::MSG_DEASSERT_INTA : tlp_pkg::MSG_ASSERT_INTA
    ) : msix.hdr;
    assign message.data = pick ? DATA_W'(0) : msix.data;
    assign msix.ready = !pick && message.ready;
    assign message_gone = msix_gone || taken || taken_back;

    logic unused;
    assign unused = &{1'b0, msix.last};
endmodule
