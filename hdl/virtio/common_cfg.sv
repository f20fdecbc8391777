// The device's part of virtio_pci_common_cfg (dwords 4 and 5): status, configuration vector, generation, queue_select;
// and what follows from device_status.
module common_cfg
    import endpoint_pkg::*, pcie_pkg::*, virtio_pkg::*;
#(
    parameter int unsigned MSIX_VECTORS = 11
) (
    input  logic          clk,
    input  logic          clear,
    input  access_t       access,
    output logic [31:0]   rdata,
    input  straps_t       straps,
    input  logic          resetting,
    output logic          reset_request,      // 0 was written to device_status
    input  logic          features_acceptable,
    input  logic [63:0]   driver_features,
    input  logic [7:0]    config_generation,
    input  logic          fatal,              // an error that only a reset can leave (STATUS-D03)
    output logic [7:0]    status,
    output logic          config_interrupt,   // pulse (STATUS-D04)
    output logic [15:0]   config_vector,
    output logic [15:0]   queue_select,
    output device_state_t device
);
    logic [7:0]  status_reg, status_next;
    logic [15:0] config_vector_reg, queue_select_reg;

    logic        here, write_vector, write_status;
    logic [31:0] value, merged;
    assign here = access.valid && access.addr[12:4] == BAR0_COMMON[14:6];
    assign write_vector = here && access.write && access.addr[3:0] == COMMON_CONFIG_VECTOR;
    assign write_status = here && access.write && access.addr[3:0] == COMMON_STATUS;

    always_comb begin
        case (access.addr[3:0])
            COMMON_CONFIG_VECTOR: value = {11'b0, queue_count(straps), config_vector_reg};
            COMMON_STATUS: value = {queue_select_reg, config_generation, status_reg};
            default: value = '0;
        endcase
    end
    assign merged = merge(value, access.data, access.be);
    assign reset_request = write_status && access.be[0] && access.data[7:0] == '0;

    // Bits are only ever added: the driver must not clear one, and NEEDS_RESET is the device's own.
    always_comb begin
        status_next = status_reg;
        if (write_status && access.be[0] && !resetting) begin
            status_next[STATUS_ACKNOWLEDGE] |= access.data[STATUS_ACKNOWLEDGE];
            status_next[STATUS_DRIVER] |= access.data[STATUS_DRIVER];
            status_next[STATUS_FAILED] |= access.data[STATUS_FAILED];
            status_next[STATUS_FEATURES_OK] |= access.data[STATUS_FEATURES_OK] && features_acceptable;
            status_next[STATUS_DRIVER_OK] |= access.data[STATUS_DRIVER_OK] && status_next[STATUS_FEATURES_OK];
        end
        if (fatal && !resetting && status_reg != '0) status_next[STATUS_NEEDS_RESET] = 1'b1;
    end

    always_ff @(posedge clk) begin
        rdata <= here && !access.write ? value : '0;
        status_reg <= status_next;
        config_interrupt <= status_next[STATUS_NEEDS_RESET] && !status_reg[STATUS_NEEDS_RESET]
            && status_reg[STATUS_DRIVER_OK];
        if (write_vector && access.be[1:0] != '0)
            config_vector_reg <= merged[15:0] < 16'(MSIX_VECTORS) ? merged[15:0] : NO_VECTOR;
        if (write_status) queue_select_reg <= merged[31:16];
        if (clear) begin
            status_reg <= '0;
            config_interrupt <= 1'b0;
            config_vector_reg <= NO_VECTOR;
            queue_select_reg <= '0;
        end
    end

    assign status = status_reg;
    assign config_vector = config_vector_reg;
    assign queue_select = queue_select_reg;

    logic [63:0] negotiated;
    assign negotiated = status_reg[STATUS_FEATURES_OK] ? driver_features : '0;

    always_comb begin
        device.driver_ok = status_reg[STATUS_DRIVER_OK] && !status_reg[STATUS_NEEDS_RESET] && !resetting;
        device.needs_reset = status_reg[STATUS_NEEDS_RESET];
        device.notification = negotiated[F_FS_NOTIFICATION];
        device.indirect_desc = negotiated[F_INDIRECT_DESC];
        device.event_idx = negotiated[F_EVENT_IDX];
        device.ring_packed = negotiated[F_RING_PACKED];
        device.in_order = negotiated[F_IN_ORDER];
        device.ring_reset = negotiated[F_RING_RESET];
        device.notif_config_data = negotiated[F_NOTIF_CONFIG_DATA];
        device.notify_buf_size = straps.notify_buf_size;
        device.notify_policy = straps.notify_policy;
        device.valid_seconds = straps.valid_seconds;
        device.cache_options = straps.cache_options;
    end
endmodule
