// What the DPU sets before a driver comes: straps, writable while device_status is 0, and the time of day.
module dpu_straps
    import pcie_pkg::access_t, pcie_pkg::merge, ramfs_pkg::time_t, virtio_pkg::*, dpu_pkg::*;
#(
    parameter int unsigned NUM_REQUEST_QUEUES = 4,
    parameter int unsigned MAX_QUEUE_SIZE = 1024,
    parameter logic [63:0] BUILT_FEATURES = FEATURES,
    parameter bit          RAMFS = 1      // the file system in hardware is built
) (
    input  logic        clk,
    input  logic        rst,
    input  access_t     access,
    output logic [31:0] rdata,
    output logic        fail,           // out of range, or locked
    input  logic [7:0]  status,
    input  logic        resetting,
    output straps_t     straps,
    output time_t       clock,          // the time of day; moves when its nanoseconds are written
    output logic        changed,        // pulse: a strap that the device configuration shows has a new value
    output logic        locked_valid,   // pulse: a strap was written while device_status is not 0
    output logic [12:0] locked_offset
);
    localparam int unsigned DEFAULT_QUEUES = NUM_REQUEST_QUEUES < 4 ? NUM_REQUEST_QUEUES : 4;
    localparam logic [63:0] DEFAULT_FEATURES = BUILT_FEATURES
        & (64'd1 << F_VERSION_1 | 64'd1 << F_INDIRECT_DESC | 64'd1 << F_FS_NOTIFICATION);
    localparam logic [TAG_BYTES*8-1:0] DEFAULT_TAG = {224'b0, 64'h7366_6f69_7472_6976};    // "virtiofs"

    straps_t     straps_reg;
    logic [63:0] seconds_reg;
    logic [31:0] nanoseconds_reg;

    logic [12:0] offset;
    logic        in_tag;
    logic [3:0]  tag_dword;
    logic [31:0] value, merged;
    assign offset = {access.addr[10:0], 2'b00};
    assign in_tag = offset >= REG_TAG && offset < REG_TAG + 13'(TAG_BYTES);
    assign tag_dword = in_tag ? access.addr[3:0] : '0;

    // ---- the addressed register, and whether the new value is one it can hold ----
    logic is_strap, in_range, shown;
    assign shown = in_tag || offset == REG_NUM_REQUEST_QUEUES || offset == REG_NOTIFY_BUF_SIZE
        || offset == REG_FEATURES_LO && merged[F_FS_NOTIFICATION] != value[F_FS_NOTIFICATION];

    always_comb begin
        value = '0;
        is_strap = 1'b1;
        unique case (offset)
            REG_NUM_REQUEST_QUEUES: value = 32'(straps_reg.num_request_queues);
            REG_FEATURES_LO: value = straps_reg.features[31:0];
            REG_FEATURES_HI: value = straps_reg.features[63:32];
            REG_PERSONALITY: value = 32'(straps_reg.literal_numbering);
            REG_MAX_QUEUE_SIZE: value = 32'(straps_reg.max_queue_size);
            REG_NOTIFY_BUF_SIZE: value = straps_reg.notify_buf_size;
            REG_NOTIFY_POLICY: value = 32'(straps_reg.notify_policy);
            REG_ENGINE: value = 32'(straps_reg.firmware);
            REG_VALID_SECONDS: value = straps_reg.valid_seconds;
            REG_CACHE_OPTIONS: value = 32'(straps_reg.cache_options);
            default: begin
                is_strap = in_tag;
                if (in_tag) value = straps_reg.tag[32 * tag_dword +: 32];
                else if (offset == REG_TIME_SEC_LO) value = seconds_reg[31:0];
                else if (offset == REG_TIME_SEC_HI) value = seconds_reg[63:32];
                else if (offset == REG_TIME_NSEC) value = nanoseconds_reg;
            end
        endcase
    end
    assign merged = merge(value, access.data, access.be);

    always_comb begin
        unique case (offset)
            REG_NUM_REQUEST_QUEUES: in_range = merged >= 32'd1 && merged <= 32'(NUM_REQUEST_QUEUES);
            REG_FEATURES_LO: in_range = (merged & ~BUILT_FEATURES[31:0]) == '0;
            // VERSION_1 is always offered (RSVD-D01).
            REG_FEATURES_HI: in_range = (merged & ~BUILT_FEATURES[63:32]) == '0 && merged[F_VERSION_1 - 32];
            REG_PERSONALITY: in_range = merged <= 32'd1;
            REG_MAX_QUEUE_SIZE: in_range = merged <= 32'(MAX_QUEUE_SIZE) && is_power_of_2(merged[15:0]);
            REG_NOTIFY_BUF_SIZE: in_range = merged >= NOTIFY_BUF_SIZE_MIN && merged <= NOTIFY_BUF_SIZE_MAX;
            REG_NOTIFY_POLICY: in_range = merged <= 32'd2;
            REG_ENGINE: in_range = merged == 32'd1 || merged == '0 && RAMFS;
            REG_CACHE_OPTIONS: in_range = merged < 32'd1 << OPTIONS;
            default: in_range = 1'b1;
        endcase
    end

    logic write, locked, store;
    assign write = access.valid && access.write;
    assign locked = status != '0 || resetting;
    assign store = write && is_strap && in_range && !locked;

    always_ff @(posedge clk) begin
        rdata <= access.valid && !access.write ? value : '0;
        fail <= write && is_strap && (locked || !in_range);
        changed <= store && shown && merged != value;
        locked_valid <= write && is_strap && locked;
        locked_offset <= offset;
        if (store) begin
            unique case (offset)
                REG_NUM_REQUEST_QUEUES: straps_reg.num_request_queues <= merged[3:0];
                REG_FEATURES_LO: straps_reg.features[31:0] <= merged;
                REG_FEATURES_HI: straps_reg.features[63:32] <= merged;
                REG_PERSONALITY: straps_reg.literal_numbering <= merged[0];
                REG_MAX_QUEUE_SIZE: straps_reg.max_queue_size <= merged[15:0];
                REG_NOTIFY_BUF_SIZE: straps_reg.notify_buf_size <= merged;
                REG_NOTIFY_POLICY: straps_reg.notify_policy <= merged[1:0];
                REG_ENGINE: straps_reg.firmware <= merged[0];
                REG_VALID_SECONDS: straps_reg.valid_seconds <= merged;
                REG_CACHE_OPTIONS: straps_reg.cache_options <= merged[OPTIONS-1:0];
                default: straps_reg.tag[32 * tag_dword +: 32] <= merged;
            endcase
        end
        if (write && offset == REG_TIME_SEC_LO) seconds_reg[31:0] <= merged;
        if (write && offset == REG_TIME_SEC_HI) seconds_reg[63:32] <= merged;
        if (write && offset == REG_TIME_NSEC) begin
            nanoseconds_reg <= merged;
            clock <= '{seconds: seconds_reg, nanoseconds: merged};
        end
        if (rst) begin
            seconds_reg <= '0;
            nanoseconds_reg <= '0;
            clock <= '0;
            straps_reg.num_request_queues <= 4'(DEFAULT_QUEUES);
            straps_reg.features <= DEFAULT_FEATURES;
            straps_reg.literal_numbering <= 1'b0;
            straps_reg.max_queue_size <= 16'(MAX_QUEUE_SIZE);
            straps_reg.notify_buf_size <= NOTIFY_BUF_SIZE_DEFAULT;
            straps_reg.notify_policy <= '0;
            straps_reg.firmware <= !RAMFS;
            straps_reg.valid_seconds <= VALID_SECONDS_DEFAULT;
            straps_reg.cache_options <= '0;
            straps_reg.tag <= DEFAULT_TAG;
            changed <= 1'b0;
            locked_valid <= 1'b0;
        end
    end

    assign straps = straps_reg;
endmodule
