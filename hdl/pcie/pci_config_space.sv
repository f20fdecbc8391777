// Type 0 configuration space of the one function, with its capability list. No extended capabilities.
module pci_config_space
    import endpoint_pkg::*, pcie_pkg::*, virtio_pkg::*;
#(
    parameter int unsigned MSIX_VECTORS = 11,
    parameter bit          INTX = 0,           // INTA is offered
    parameter bit          FLR = 0,            // function level reset is offered
    parameter bit          POWER = 0           // power management is offered: D0 and D3hot
) (
    input  logic           clk,
    input  logic           rst,
    input  logic           function_reset,     // to the defaults of a function level reset, while it lasts
    input  logic           restarting,         // that, or the reset behind D3hot
    input  access_t        access,
    output logic [31:0]    rdata,
    input  logic           capture,            // bus and device number, from every configuration write
    input  logic [12:0]    capture_id,
    input  request_error_t request_error,
    input  logic [3:0]     completion_error,   // {poison, unexpected, CA, UR}
    input  logic [31:0]    device_length,      // of the device configuration
    input  logic           interrupt_pending,  // an ISR bit is set
    output pci_control_t   pci,
    output logic [48:0]    bar0,
    output window_t        window
);
    // ---- registers ----
    logic [15:0] command_reg;
    logic        parity_reg, master_abort_reg, target_abort_reg, poison_reg;    // Status 8, 13, 12, 15
    logic [7:0]  cache_line_reg, interrupt_line_reg;
    logic [48:0] bar0_reg;
    logic [15:0] device_control_reg, link_control_reg;
    logic [3:0]  device_status_reg;            // unsupported request, fatal, non-fatal, correctable
    logic        msix_enable_reg, msix_mask_reg;
    window_t     window_reg;
    logic [12:0] bus_device_reg;
    logic        flr_reg;
    logic        d3hot_reg, wake_reg;
    logic        awake;

    localparam logic [15:0] COMMAND_WRITABLE = 16'h0546;         // INTx disable, SERR#, parity, bus master, memory
    localparam logic [15:0] DEVICE_CONTROL_WRITABLE = 16'h70EF;  // no relaxed ordering, no snoop attribute
    localparam logic [15:0] DEVICE_CONTROL_RESET = 16'h2000;     // MPS 128, MRRS 512
    localparam logic [15:0] DEVICE_CONTROL_KEPT = 16'h00E0;      // over a function level reset: MPS (PCIe 6.6.2)
    localparam logic [15:0] LINK_CONTROL_WRITABLE = 16'h00C8;    // RCB, common clock, extended synch
    localparam logic [15:0] LINK_STATUS = 16'h0043;              // 8 GT/s, x4

    assign bar0 = bar0_reg;
    assign awake = !d3hot_reg && !wake_reg && !restarting;

    always_comb begin
        window = window_reg;
        if (!awake) window.length = '0;
    end

    always_comb begin
        pci = '0;
        pci.bus_master = command_reg[2] && awake;
        pci.memory_enable = command_reg[1] && awake;
        pci.intx_disable = command_reg[10];
        pci.msix_enable = msix_enable_reg;
        pci.msix_function_mask = msix_mask_reg;
        pci.flr = flr_reg;
        pci.d3hot = d3hot_reg;
        pci.wake = wake_reg;
        // 512 bytes is what Device Capabilities offers.
        pci.mps = device_control_reg[7:5] > 3'd2 ? 3'd2 : device_control_reg[7:5];
        pci.mrrs = device_control_reg[14:12] > 3'd5 ? 3'd5 : device_control_reg[14:12];
        pci.rcb = link_control_reg[3];
        pci.requester_id = {bus_device_reg, 3'b000};
    end

    // ---- reads ----
    function automatic logic [31:0] vendor_cap(logic [7:0] next, logic [7:0] length, logic [7:0] cfg_type);
        return {cfg_type, length, next, CAP_ID_VENDOR};
    endfunction

    logic [11:0] offset;
    logic [31:0] value;
    assign offset = {access.addr[9:0], 2'b00};

    always_comb begin
        case (offset)
            CFG_ID: value = {DEVICE_ID, VENDOR_ID};
            CFG_COMMAND: value = {
                poison_reg, 1'b0, master_abort_reg, target_abort_reg, 3'b0, parity_reg, 4'h1,
                INTX && interrupt_pending && !msix_enable_reg, 3'b0, command_reg
            };
            CFG_CLASS: value = {CLASS_CODE, REVISION_ID};
            CFG_CACHE_LINE: value = {24'b0, cache_line_reg};
            CFG_BAR0: value = {bar0_reg[16:0], 15'h0004};        // 64-bit, not prefetchable, 32 KiB
            CFG_BAR0_HIGH: value = bar0_reg[48:17];
            CFG_SUBSYSTEM: value = {SUBSYSTEM_ID, VENDOR_ID};
            CFG_CAP_POINTER: value = {24'b0, CAP_PCIE[7:0]};
            CFG_INTERRUPT: value = {16'b0, 7'b0, INTX, interrupt_line_reg};
            CAP_PCIE: value = {16'h0002, CAP_MSIX[7:0], CAP_ID_PCIE};
            CAP_PCIE + PCIE_DEVICE_CAP: value = {3'b0, FLR, 28'h000_8002};    // role-based error reporting, MPS 512
            CAP_PCIE + PCIE_DEVICE_CONTROL: value = {12'b0, device_status_reg, device_control_reg};
            CAP_PCIE + PCIE_LINK_CAP: value = {16'h0000, LINK_STATUS};
            CAP_PCIE + PCIE_LINK_CONTROL: value = {LINK_STATUS, link_control_reg};
            CAP_PCIE + PCIE_LINK_CAP2: value = 32'h0000_000E;    // 2.5, 5 and 8 GT/s
            CAP_PCIE + PCIE_LINK_CONTROL2: value = 32'h0000_0003;
            CAP_MSIX: value = {
                msix_enable_reg, msix_mask_reg, 3'b0, 11'(MSIX_VECTORS - 1),
                POWER ? CAP_POWER[7:0] : CAP_COMMON[7:0], CAP_ID_MSIX
            };
            // Version 3, no PME; what is not in configuration space is lost in D3hot (No_Soft_Reset 0).
            CAP_POWER: value = POWER ? {16'h0003, CAP_COMMON[7:0], CAP_ID_POWER} : '0;
            CAP_POWER + POWER_CONTROL: value = {30'b0, d3hot_reg ? STATE_D3HOT : STATE_D0};
            CAP_MSIX + 12'h4: value = {17'b0, BAR0_MSIX_TABLE};
            CAP_MSIX + 12'h8: value = {17'b0, BAR0_MSIX_PBA};
            CAP_COMMON: value = vendor_cap(CAP_NOTIFY[7:0], 8'h10, CFG_TYPE_COMMON);
            CAP_COMMON + 12'h8: value = {17'b0, BAR0_COMMON};
            CAP_COMMON + 12'hC: value = COMMON_LENGTH;
            CAP_NOTIFY: value = vendor_cap(CAP_ISR[7:0], 8'h14, CFG_TYPE_NOTIFY);
            CAP_NOTIFY + 12'h8: value = {17'b0, BAR0_NOTIFY};
            CAP_NOTIFY + 12'hC: value = NOTIFY_LENGTH;
            CAP_NOTIFY + 12'h10: value = NOTIFY_MULTIPLIER;
            CAP_ISR: value = vendor_cap(CAP_DEVICE[7:0], 8'h10, CFG_TYPE_ISR);
            CAP_ISR + 12'h8: value = {17'b0, BAR0_ISR};
            CAP_ISR + 12'hC: value = ISR_LENGTH;
            CAP_DEVICE: value = vendor_cap(CAP_PCI_CFG[7:0], 8'h10, CFG_TYPE_DEVICE);
            CAP_DEVICE + 12'h8: value = {17'b0, BAR0_DEVICE};
            CAP_DEVICE + 12'hC: value = device_length;
            CAP_PCI_CFG: value = vendor_cap(8'h00, 8'h14, CFG_TYPE_PCI);
            CAP_PCI_CFG + 12'h4: value = {24'b0, window_reg.bar};
            CAP_PCI_CFG + 12'h8: value = window_reg.offset;
            CAP_PCI_CFG + 12'hC: value = window_reg.length;
            default: value = '0;                                 // pci_cfg_data is answered by the window
        endcase
    end

    always_ff @(posedge clk) rdata <= access.valid && !access.write ? value : '0;

    // ---- writes ----
    logic        write;
    logic [31:0] merged;         // the register after the write, where it is stored as it reads
    logic [31:0] ones;           // bits written 1, for RW1C
    assign write = access.valid && access.write;
    assign merged = merge(value, access.data, access.be);
    assign ones = write ? merge('0, access.data, access.be) : '0;
    logic at_status, at_device_status;
    assign at_status = offset == CFG_COMMAND;
    assign at_device_status = offset == CAP_PCIE + PCIE_DEVICE_CONTROL;

    always_ff @(posedge clk) begin
        if (write) begin
            case (offset)
                CFG_COMMAND: command_reg <= merged[15:0] & COMMAND_WRITABLE;
                CFG_CACHE_LINE: cache_line_reg <= merged[7:0];
                CFG_BAR0: bar0_reg[16:0] <= merged[31:15];
                CFG_BAR0_HIGH: bar0_reg[48:17] <= merged;
                CFG_INTERRUPT: interrupt_line_reg <= merged[7:0];
                CAP_PCIE + PCIE_DEVICE_CONTROL: device_control_reg <= merged[15:0] & DEVICE_CONTROL_WRITABLE;
                CAP_PCIE + PCIE_LINK_CONTROL: link_control_reg <= merged[15:0] & LINK_CONTROL_WRITABLE;
                CAP_MSIX: {msix_enable_reg, msix_mask_reg} <= merged[31:30];
                CAP_PCI_CFG + 12'h4: window_reg.bar <= merged[7:0];
                CAP_PCI_CFG + 12'h8: window_reg.offset <= merged;
                CAP_PCI_CFG + 12'hC: window_reg.length <= merged;
                CAP_PCI_CFG + 12'h10: window_reg.data <= merge(window_reg.data, access.data, access.be);
                default: ;
            endcase
        end
        if (capture) bus_device_reg <= capture_id;
        wake_reg <= 1'b0;
        if (POWER && write && offset == CAP_POWER + POWER_CONTROL) begin
            if (merged[1:0] == STATE_D3HOT) d3hot_reg <= 1'b1;
            else if (merged[1:0] == STATE_D0) begin
                d3hot_reg <= 1'b0;
                wake_reg <= d3hot_reg;
            end
        end
        flr_reg <= FLR && at_device_status && ones[15];
        // A function level reset leaves what belongs to the link: Link Control, and the function's address.
        if (rst || function_reset) begin
            command_reg <= '0;
            cache_line_reg <= '0;
            interrupt_line_reg <= '0;
            bar0_reg <= '0;
            device_control_reg <= (device_control_reg & DEVICE_CONTROL_KEPT) | DEVICE_CONTROL_RESET;
            {msix_enable_reg, msix_mask_reg} <= '0;
            window_reg <= '0;
            d3hot_reg <= 1'b0;
        end
        if (rst) begin
            device_control_reg <= DEVICE_CONTROL_RESET;
            link_control_reg <= '0;
            bus_device_reg <= '0;
            flr_reg <= 1'b0;
            wake_reg <= 1'b0;
        end
    end

    logic unused;
    assign unused = &{1'b0, ones};

    // ---- error bits: set by hardware wins over a write of 1 ----
    logic poison, unexpected, completer_abort, unsupported;
    assign {poison, unexpected, completer_abort, unsupported} = completion_error;

    always_ff @(posedge clk) begin
        poison_reg <= (poison_reg && !(at_status && ones[31])) || poison || request_error.poisoned;
        master_abort_reg <= (master_abort_reg && !(at_status && ones[29])) || unsupported;
        target_abort_reg <= (target_abort_reg && !(at_status && ones[28])) || completer_abort;
        parity_reg <= (parity_reg && !(at_status && ones[24])) || (poison && command_reg[6]);
        device_status_reg <= (device_status_reg & ~(at_device_status ? ones[19:16] : 4'b0)) | {
            request_error.unsupported, 1'b0, request_error.poisoned || request_error.unsupported_posted,
            // What the requester is told, or what is survived, is advisory: PCIe 6.2.3.2.4.
            poison || unexpected || (request_error.unsupported && !request_error.unsupported_posted)
        };
        if (rst || function_reset) begin
            {poison_reg, master_abort_reg, target_abort_reg, parity_reg} <= '0;
            device_status_reg <= '0;
        end
    end
endmodule
