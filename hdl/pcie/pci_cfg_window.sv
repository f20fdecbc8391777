// Sends an access to where it belongs. An access to pci_cfg_data becomes one to BAR 0 with the same side effects
// (PCI-PCICFG-D02, D03), whatever Memory Space Enable says; a window that is no 1, 2 or 4 bytes in one dword of
// BAR 0 reads 0 and ignores writes.
module pci_cfg_window
    import pcie_pkg::*;
(
    input  logic        clk,
    input  access_t     access,
    input  logic        access_cfg,
    output logic [31:0] rdata,
    input  window_t     window,
    output access_t     config_access,
    input  logic [31:0] config_rdata,
    output access_t     bar_access,
    input  logic [31:0] bar_rdata
);
    localparam logic [12:0] DATA_DWORD = 13'((CAP_PCI_CFG + 12'h10) >> 2);

    logic        through, usable;
    logic [3:0]  be;
    logic [4:0]  shift;
    logic        through_reg;
    logic [4:0]  shift_reg;
    logic [31:0] mask_reg;

    assign through = access_cfg && access.addr == DATA_DWORD && access.be != '0;
    assign shift = {window.offset[1:0], 3'b000};

    always_comb begin
        be = 4'b0000;
        unique case (window.length)
            32'd1: be = 4'b0001;
            32'd2: be = &window.offset[1:0] ? 4'b0000 : 4'b0011;
            32'd4: be = window.offset[1:0] != '0 ? 4'b0000 : 4'b1111;
            default: be = 4'b0000;
        endcase
    end
    assign usable = window.bar == '0 && window.offset[31:BAR0_ADDR_W] == '0 && be != '0;

    always_comb begin
        config_access = access;
        config_access.valid = access.valid && access_cfg;
        bar_access = access;
        if (access_cfg) begin
            bar_access.valid = access.valid && through && usable;
            bar_access.addr = window.offset[14:2];
            bar_access.be = be << window.offset[1:0];
            bar_access.data = merge(window.data, access.data, access.be) << shift;
        end
    end

    always_ff @(posedge clk) begin
        through_reg <= through;
        shift_reg <= shift;
        mask_reg <= {{16{be[3]}}, {8{be[1]}}, {8{be[0]}}};
    end
    assign rdata = through_reg ? (bar_rdata >> shift_reg) & mask_reg : config_rdata | bar_rdata;
endmodule
