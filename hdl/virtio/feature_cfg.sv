// Feature negotiation: dwords 0 to 3 of virtio_pci_common_cfg.
module feature_cfg
    import endpoint_pkg::*, pcie_pkg::*, virtio_pkg::*;
(
    input  logic        clk,
    input  logic        clear,
    input  access_t     access,
    output logic [31:0] rdata,
    input  logic [63:0] offered,
    input  logic        frozen,            // FEATURES_OK is set
    output logic [63:0] driver_features,
    output logic        acceptable
);
    logic [31:0] device_select_reg, driver_select_reg;
    logic [63:0] driver_features_reg;
    logic [2:0]  beyond_reg;               // bits 64 to 95, 96 to 127, above: never offered, but not forgotten

    logic        here, write;
    logic [3:0]  dword;
    logic [31:0] value, merged;
    assign here = access.valid && access.addr[12:4] == BAR0_COMMON[14:6];
    assign write = here && access.write;
    assign dword = access.addr[3:0];

    // PCI-COMMON-D03, D04: any 32-bit select value is answered.
    function automatic logic [31:0] word(logic [63:0] features, logic [31:0] select);
        return select == 32'd0 ? features[31:0] : select == 32'd1 ? features[63:32] : 32'd0;
    endfunction

    always_comb begin
        case (dword)
            COMMON_DEVICE_FEATURE_SELECT: value = device_select_reg;
            COMMON_DEVICE_FEATURE: value = word(offered, device_select_reg);
            COMMON_DRIVER_FEATURE_SELECT: value = driver_select_reg;
            COMMON_DRIVER_FEATURE: value = word(driver_features_reg, driver_select_reg);
            default: value = '0;
        endcase
    end
    assign merged = merge(value, access.data, access.be);

    always_ff @(posedge clk) begin
        rdata <= here && !access.write ? value : '0;
        if (write && dword == COMMON_DEVICE_FEATURE_SELECT) device_select_reg <= merged;
        if (write && dword == COMMON_DRIVER_FEATURE_SELECT) driver_select_reg <= merged;
        if (write && dword == COMMON_DRIVER_FEATURE && !frozen) begin
            if (driver_select_reg == 32'd0) driver_features_reg[31:0] <= merged;
            else if (driver_select_reg == 32'd1) driver_features_reg[63:32] <= merged;
            else if (driver_select_reg == 32'd2) beyond_reg[0] <= merged != '0;
            else if (driver_select_reg == 32'd3) beyond_reg[1] <= merged != '0;
            else if (merged != '0) beyond_reg[2] <= 1'b1;
        end
        if (clear) begin
            device_select_reg <= '0;
            driver_select_reg <= '0;
            driver_features_reg <= '0;
            beyond_reg <= '0;
        end
    end

    assign driver_features = driver_features_reg;
    // FEAT-D03: VERSION_1 must be taken, so must ACCESS_PLATFORM where it is offered, and nothing that was not offered.
    assign acceptable = driver_features_reg[F_VERSION_1] && (driver_features_reg & ~offered) == '0 && beyond_reg == '0
        && (driver_features_reg[F_ACCESS_PLATFORM] || !offered[F_ACCESS_PLATFORM]);
endmodule
