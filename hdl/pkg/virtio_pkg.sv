// virtio 1.4 over PCI: registers, bits and ids, by the specification's names.
package virtio_pkg;

    localparam logic [15:0] VENDOR_ID = 16'h1AF4;
    localparam logic [15:0] DEVICE_ID = 16'h105A;      // 0x1040 + 26
    localparam logic [15:0] SUBSYSTEM_ID = 16'h1100;
    localparam logic [7:0] REVISION_ID = 8'h01;
    localparam logic [23:0] CLASS_CODE = 24'h018000;

    // virtio_pci_cap.cfg_type
    localparam logic [7:0] CFG_TYPE_COMMON = 8'd1;
    localparam logic [7:0] CFG_TYPE_NOTIFY = 8'd2;
    localparam logic [7:0] CFG_TYPE_ISR = 8'd3;
    localparam logic [7:0] CFG_TYPE_DEVICE = 8'd4;
    localparam logic [7:0] CFG_TYPE_PCI = 8'd5;

    // virtio_pci_common_cfg: dword numbers
    localparam logic [3:0] COMMON_DEVICE_FEATURE_SELECT = 4'h0;
    localparam logic [3:0] COMMON_DEVICE_FEATURE = 4'h1;
    localparam logic [3:0] COMMON_DRIVER_FEATURE_SELECT = 4'h2;
    localparam logic [3:0] COMMON_DRIVER_FEATURE = 4'h3;
    localparam logic [3:0] COMMON_CONFIG_VECTOR = 4'h4;  // config_msix_vector, num_queues
    localparam logic [3:0] COMMON_STATUS = 4'h5;         // device_status, config_generation, queue_select
    localparam logic [3:0] COMMON_QUEUE_SIZE = 4'h6;     // queue_size, queue_msix_vector
    localparam logic [3:0] COMMON_QUEUE_ENABLE = 4'h7;   // queue_enable, queue_notify_off
    localparam logic [3:0] COMMON_QUEUE_DESC = 4'h8;     // low half; high half follows
    localparam logic [3:0] COMMON_QUEUE_DRIVER = 4'hA;
    localparam logic [3:0] COMMON_QUEUE_DEVICE = 4'hC;
    localparam logic [3:0] COMMON_QUEUE_RESET = 4'hE;    // queue_notif_config_data, queue_reset

    localparam logic [15:0] NO_VECTOR = 16'hFFFF;

    // device_status, bit numbers
    localparam int unsigned STATUS_ACKNOWLEDGE = 0;
    localparam int unsigned STATUS_DRIVER = 1;
    localparam int unsigned STATUS_DRIVER_OK = 2;
    localparam int unsigned STATUS_FEATURES_OK = 3;
    localparam int unsigned STATUS_NEEDS_RESET = 6;
    localparam int unsigned STATUS_FAILED = 7;

    // Feature bit numbers
    localparam int unsigned F_FS_NOTIFICATION = 0;
    localparam int unsigned F_INDIRECT_DESC = 28;
    localparam int unsigned F_EVENT_IDX = 29;
    localparam int unsigned F_VERSION_1 = 32;
    localparam int unsigned F_ACCESS_PLATFORM = 33;
    localparam int unsigned F_RING_PACKED = 34;
    localparam int unsigned F_IN_ORDER = 35;
    localparam int unsigned F_ORDER_PLATFORM = 36;
    localparam int unsigned F_NOTIFICATION_DATA = 38;
    localparam int unsigned F_NOTIF_CONFIG_DATA = 39;
    localparam int unsigned F_RING_RESET = 40;

    // What can be offered. ACCESS_PLATFORM and ORDER_PLATFORM change nothing here: every access is PCIe's, at the
    // addresses that the driver gives. NOTIFICATION_DATA: a doorbell says no more than that there is something to read.
    localparam logic [63:0] FEATURES = 64'd1 << F_FS_NOTIFICATION | 64'd1 << F_INDIRECT_DESC | 64'd1 << F_EVENT_IDX
        | 64'd1 << F_VERSION_1 | 64'd1 << F_ACCESS_PLATFORM | 64'd1 << F_RING_PACKED | 64'd1 << F_IN_ORDER
        | 64'd1 << F_ORDER_PLATFORM | 64'd1 << F_NOTIFICATION_DATA | 64'd1 << F_NOTIF_CONFIG_DATA
        | 64'd1 << F_RING_RESET;

    // Flags of a descriptor, bit numbers; the last two in packed rings only
    localparam int unsigned DESC_NEXT = 0;
    localparam int unsigned DESC_WRITE = 1;
    localparam int unsigned DESC_INDIRECT = 2;
    localparam int unsigned DESC_AVAIL = 7;
    localparam int unsigned DESC_USED = 15;

    // Numbers of the virtio-fs device configuration's dwords, after the tag
    localparam int unsigned TAG_BYTES = 36;
    localparam logic [31:0] DEVICE_LENGTH = 32'd40;
    localparam logic [31:0] DEVICE_LENGTH_NOTIFICATION = 32'd44;

    // What the DPU has set: frozen while device_status is not 0.
    typedef struct packed {
        logic [3:0]             num_request_queues;
        logic [63:0]            features;           // offered
        logic                   literal_numbering;  // request queues from index 2 even without the notification queue
        logic [15:0]            max_queue_size;
        logic [31:0]            notify_buf_size;
        logic [1:0]             notify_policy;
        logic [31:0]            valid_seconds;
        logic [2:0]             cache_options;
        logic                   firmware;           // answers FUSE, not the file system in hardware
        logic [TAG_BYTES*8-1:0] tag;                // byte 0 lowest
    } straps_t;

    // A queue size that a split ring can have (PCI-COMMON-D16).
    function automatic logic is_power_of_2(logic [15:0] value);
        return value != '0 && (value & (value - 16'd1)) == '0;
    endfunction

    // verilator lint_off UNUSEDSIGNAL
    // The number of queues that num_queues tells; it does not depend on what is negotiated.
    function automatic logic [4:0] queue_count(straps_t straps);
        logic second;
        second = straps.literal_numbering || straps.features[F_FS_NOTIFICATION];
        return 5'd1 + 5'(second) + 5'(straps.num_request_queues);
    endfunction
    // verilator lint_on UNUSEDSIGNAL

endpackage
