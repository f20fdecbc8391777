// ISR status: bit 0 used buffers (only while MSI-X is off), bit 1 configuration change (always, and before the message:
// PCI-ISR-D02). A read clears it (PCI-ISR-D05).
module isr
    import pcie_pkg::*;
(
    input  logic        clk,
    input  logic        clear,
    input  access_t     access,
    output logic [31:0] rdata,
    input  logic        queue_interrupt,
    input  logic        config_interrupt,
    output logic        pending           // any bit is set
);
    logic unused;
    assign unused = &{1'b0, access};

    logic [1:0] isr_reg;
    logic       read;
    assign pending = isr_reg != '0;
    assign read = access.valid && !access.write && access.be[0] && access.addr == BAR0_ISR[14:2];

    always_ff @(posedge clk) begin
        rdata <= read ? {30'b0, isr_reg} : '0;
        if (clear) isr_reg <= '0;
        else isr_reg <= (read ? 2'b0 : isr_reg) | {config_interrupt, queue_interrupt};
    end
endmodule
