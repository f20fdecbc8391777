// Stands for pci_config_space where a hard block owns it: that block decodes the BAR (so only offsets count here) and
// keeps bus master and memory enable; the function may always send. MSI-X is this module's caller's, enabled.
module pci_config_absent
    import endpoint_pkg::*, pcie_pkg::*;
(
    output logic [31:0]  rdata,
    output pci_control_t pci,
    output logic [48:0]  bar0,
    output window_t      window
);
    assign rdata = '0;
    assign bar0 = '0;
    assign window = '0;

    always_comb begin
        pci = '0;
        pci.bus_master = 1'b1;
        pci.memory_enable = 1'b1;
        pci.msix_enable = 1'b1;
        pci.mrrs = 3'd2;
    end
endmodule
