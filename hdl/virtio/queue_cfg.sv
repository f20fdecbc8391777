// The queue's part of virtio_pci_common_cfg (dwords 6 to 14), one set of registers a queue index. Size and addresses
// of an enabled queue do not change; its vector may. A queue that was reset has its registers' defaults.
module queue_cfg
    import endpoint_pkg::*, pcie_pkg::*, virtio_pkg::*;
#(
    parameter int unsigned MSIX_VECTORS = 11
) (
    input  logic                   clk,
    input  logic                   clear,
    input  access_t                access,
    output logic [31:0]            rdata,
    input  logic [15:0]            queue_select,
    input  logic [15:0]            max_size,
    input  role_e [MAX_QUEUES-1:0] role,
    input  logic [MAX_QUEUES-1:0]  present,
    input  device_state_t          device,
    output logic [MAX_QUEUES-1:0]  reset_request,      // pulses: 1 was written to queue_reset
    input  logic [MAX_QUEUES-1:0]  resetting,
    input  logic [MAX_QUEUES-1:0]  reset_registers,    // one cycle
    output queue_cfgs_t            queues
);
    logic unused;
    assign unused = &{1'b0, device};

    logic [MAX_QUEUES-1:0]       enable_reg;
    logic [15:0]                 max_size_reg;
    logic [MAX_QUEUES-1:0][15:0] size_reg, vector_reg;
    logic [MAX_QUEUES-1:0][63:0] desc_reg, driver_reg, device_reg;

    queue_t      q;
    logic        here, exists;
    logic [31:0] value, merged;
    logic [15:0] config_data;       // queue_notif_config_data: nobody should take it for the index
    assign config_data = queue_select + 16'h100;
    assign here = access.valid && access.addr[12:4] == BAR0_COMMON[14:6];
    assign q = queue_select < 16'(MAX_QUEUES) ? queue_select[3:0] : '0;
    assign exists = queue_select < 16'(MAX_QUEUES) && present[q];

    always_comb begin
        value = '0;
        if (exists) begin
            case (access.addr[3:0])
                COMMON_QUEUE_SIZE: value = {vector_reg[q], size_reg[q]};
                COMMON_QUEUE_ENABLE: value = {queue_select, 15'b0, enable_reg[q]};    // queue_notify_off = index
                COMMON_QUEUE_DESC: value = desc_reg[q][31:0];
                COMMON_QUEUE_DESC + 4'd1: value = desc_reg[q][63:32];
                COMMON_QUEUE_DRIVER: value = driver_reg[q][31:0];
                COMMON_QUEUE_DRIVER + 4'd1: value = driver_reg[q][63:32];
                COMMON_QUEUE_DEVICE: value = device_reg[q][31:0];
                COMMON_QUEUE_DEVICE + 4'd1: value = device_reg[q][63:32];
                COMMON_QUEUE_RESET: value = {15'b0, resetting[q], device.notif_config_data ? config_data : 16'b0};
                default: value = '0;
            endcase
        end else if (access.addr[3:0] == COMMON_QUEUE_SIZE) value = {NO_VECTOR, 16'b0};
    end
    assign merged = merge(value, access.data, access.be);

    // Of a packed ring any size will do (PCI-COMMON-D16).
    function automatic logic legal_size(logic [15:0] size);
        return device.ring_packed ? size != '0 : is_power_of_2(size);
    endfunction

    logic write, setup;
    assign write = here && access.write && exists;
    assign setup = write && !enable_reg[q] && !resetting[q];
    always_comb begin
        reset_request = '0;
        reset_request[q] = write && access.addr[3:0] == COMMON_QUEUE_RESET && access.be[3:2] != '0
            && merged[31:16] == 16'd1 && device.ring_reset && !resetting[q];
    end

    always_ff @(posedge clk) begin
        rdata <= here && !access.write ? value : '0;
        if (setup) begin
            case (access.addr[3:0])
                COMMON_QUEUE_SIZE: if (legal_size(merged[15:0]) && merged[15:0] <= max_size)
                    size_reg[q] <= merged[15:0];
                COMMON_QUEUE_ENABLE: enable_reg[q] <= merged[0];
                COMMON_QUEUE_DESC: desc_reg[q][31:0] <= merged;
                COMMON_QUEUE_DESC + 4'd1: desc_reg[q][63:32] <= merged;
                COMMON_QUEUE_DRIVER: driver_reg[q][31:0] <= merged;
                COMMON_QUEUE_DRIVER + 4'd1: driver_reg[q][63:32] <= merged;
                COMMON_QUEUE_DEVICE: device_reg[q][31:0] <= merged;
                COMMON_QUEUE_DEVICE + 4'd1: device_reg[q][63:32] <= merged;
                default: ;
            endcase
        end
        if (write && access.addr[3:0] == COMMON_QUEUE_SIZE && access.be[3:2] != '0)
            vector_reg[q] <= merged[31:16] < 16'(MSIX_VECTORS) ? merged[31:16] : NO_VECTOR;
        max_size_reg <= max_size;
        if (clear || max_size != max_size_reg) size_reg <= {MAX_QUEUES{max_size}};
        for (int i = 0; i < MAX_QUEUES; i++) begin
            if (reset_registers[i]) begin
                enable_reg[i] <= 1'b0;
                size_reg[i] <= max_size;
                vector_reg[i] <= NO_VECTOR;
                desc_reg[i] <= '0;
                driver_reg[i] <= '0;
                device_reg[i] <= '0;
            end
        end
        if (clear) begin
            enable_reg <= '0;
            vector_reg <= {MAX_QUEUES{NO_VECTOR}};
            desc_reg <= '0;
            driver_reg <= '0;
            device_reg <= '0;
        end
    end

    always_comb begin
        for (int i = 0; i < MAX_QUEUES; i++) begin
            queues[i].enable = enable_reg[i] && role[i] != ROLE_NONE;
            queues[i].size = size_reg[i];
            queues[i].desc = desc_reg[i];
            queues[i].driver = driver_reg[i];
            queues[i].device = device_reg[i];
            queues[i].vector = vector_reg[i];
            queues[i].role = role[i];
        end
    end
endmodule
