// MSI-X: every event (a queue's used buffers, a configuration change) has a pending bit of its own and the vector it
// is mapped to. A pending event is emitted when its vector, the function and the bus master let it; events of one
// vector share a message. A device reset or a remap to NO_VECTOR forgets it without a message.
module msix
    import endpoint_pkg::*, pcie_pkg::*, virtio_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned VECTORS = 11,
    parameter int unsigned EVENTS = 11
) (
    input  logic                    clk,
    input  logic                    rst,
    input  access_t                 access,
    output logic [31:0]             rdata,
    input  pci_control_t            pci,
    input  reset_req_t              reset,
    input  logic                    function_reset,    // clears the table
    input  logic [EVENTS-1:0]       fire,          // pulses
    input  logic [EVENTS-1:0][15:0] vector,
    tlp_if.src                      message,
    output logic                    message_gone   // taken, or forgotten by a reset
);
    localparam int unsigned VECTOR_W = $clog2(VECTORS);

    logic [EVENTS-1:0]   pending_reg, mapped, sendable, taken;
    logic [VECTORS-1:0]  pending_vector, mask;
    logic [VECTOR_W-1:0] pick;
    logic                load, valid_reg;

    logic unused;
    assign unused = &{1'b0, pci};

    // ---- which vector goes next: the event with the lowest number ----
    always_comb begin
        pending_vector = '0;
        pick = '0;
        for (int i = EVENTS - 1; i >= 0; i--) begin
            mapped[i] = vector[i] != NO_VECTOR;
            sendable[i] = pending_reg[i] && mapped[i] && !mask[vector[i][VECTOR_W-1:0]];
            if (pending_reg[i] && mapped[i]) pending_vector[vector[i][VECTOR_W-1:0]] = 1'b1;
            if (sendable[i]) pick = vector[i][VECTOR_W-1:0];
        end
    end
    always_comb begin
        for (int i = 0; i < EVENTS; i++) taken[i] = load && mapped[i] && vector[i][VECTOR_W-1:0] == pick;
    end
    assign load = sendable != '0 && pci.bus_master && pci.msix_enable && !pci.msix_function_mask && !reset.quiesce
        && (!valid_reg || message.ready);

    always_ff @(posedge clk) begin
        if (rst || reset.clear) pending_reg <= '0;
        else pending_reg <= ((pending_reg & ~taken) | (pci.msix_enable ? fire : '0)) & mapped;
    end

    // ---- the message ----
    logic [63:0] address, address_reg;
    logic [31:0] data, data_reg;

    msix_table #(.VECTORS(VECTORS)) vectors (
        .clk, .rst(rst || function_reset), .access, .rdata, .pending(pending_vector), .mask, .vector(pick), .address,
        .data
    );

    always_ff @(posedge clk) begin
        if (load) begin
            address_reg <= address;
            data_reg <= data;
        end
        if (rst || reset.clear) valid_reg <= 1'b0;
        else valid_reg <= load || (valid_reg && !message.ready);
    end

    assign message.valid = valid_reg;
    assign message.last = 1'b1;
    assign message.hdr = tlp_pkg::pack_mem_request('{
        write: 1'b1, requester_id: pci.requester_id, tag: 8'd0, addr: address_reg, length: 10'd1, first_be: 4'b1111,
        last_be: 4'b0000
    });
    assign message.data = DATA_W'(data_reg);
    assign message_gone = valid_reg && (message.ready || reset.clear);
endmodule
