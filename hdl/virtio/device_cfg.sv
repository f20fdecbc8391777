// virtio_fs_config: tag, num_request_queues, and notify_buf_size where the notification feature is offered (CFG-D02).
module device_cfg
    import pcie_pkg::*, virtio_pkg::*;
(
    input  logic        clk,
    input  logic        rst,
    input  access_t     access,
    output logic [31:0] rdata,
    input  straps_t     straps,
    input  logic        changed,              // a strap that shows here has a new value
    output logic [7:0]  config_generation,
    output logic [31:0] length
);
    localparam int unsigned TAG_DWORDS = TAG_BYTES / 4;
    localparam logic [5:0] DWORD_QUEUES = 6'(TAG_DWORDS);
    localparam logic [5:0] DWORD_NOTIFY = 6'(TAG_DWORDS + 1);

    logic unused;
    assign unused = &{1'b0, access, straps};

    logic        offered, here;
    logic [5:0]  dword;
    logic [31:0] value;
    assign offered = straps.features[F_FS_NOTIFICATION];
    assign length = offered ? DEVICE_LENGTH_NOTIFICATION : DEVICE_LENGTH;
    assign here = access.valid && !access.write && access.addr[12:6] == BAR0_DEVICE[14:8];
    assign dword = access.addr[5:0];

    always_comb begin
        value = '0;
        if (dword < 6'(TAG_DWORDS)) value = straps.tag[32 * dword[3:0] +: 32];
        else if (dword == DWORD_QUEUES) value = 32'(straps.num_request_queues);
        else if (dword == DWORD_NOTIFY && offered) value = straps.notify_buf_size;
    end

    // PCI-COMMON-D06. The 8 bits must not wrap unseen: they count only changes that follow a read.
    logic       seen_reg, seen;
    logic [7:0] generation_reg;
    assign seen = seen_reg || (here && access.be != '0);

    always_ff @(posedge clk) begin
        rdata <= here ? value : '0;
        seen_reg <= seen && !changed;
        if (changed && seen) generation_reg <= generation_reg + 8'd1;
        if (rst) begin
            seen_reg <= 1'b0;
            generation_reg <= '0;
        end
    end
    assign config_generation = generation_reg;
endmodule
