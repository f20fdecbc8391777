// The DPU port's map: byte offsets of its 32-bit registers.
package dpu_pkg;

    // A package's constants are not all used in each design.
    // verilator lint_off UNUSEDPARAM
    localparam logic [31:0] DPU_ID = 32'h4353_4656;    // "VFSC"
    localparam logic [31:0] DPU_VERSION = 32'd1;

    localparam logic [12:0] REG_ID = 13'h000;
    localparam logic [12:0] REG_VERSION = 13'h004;
    localparam logic [12:0] REG_NUM_REQUEST_QUEUES = 13'h010;
    localparam logic [12:0] REG_FEATURES_LO = 13'h014;
    localparam logic [12:0] REG_FEATURES_HI = 13'h018;
    localparam logic [12:0] REG_PERSONALITY = 13'h01C;
    localparam logic [12:0] REG_MAX_QUEUE_SIZE = 13'h020;
    localparam logic [12:0] REG_NOTIFY_BUF_SIZE = 13'h024;
    localparam logic [12:0] REG_NOTIFY_POLICY = 13'h028;
    localparam logic [12:0] REG_ENGINE = 13'h02C;
    localparam logic [12:0] REG_VALID_SECONDS = 13'h030;
    localparam logic [12:0] REG_CACHE_OPTIONS = 13'h034;
    localparam logic [12:0] REG_TAG = 13'h040;         // 9 dwords
    localparam logic [12:0] REG_TIME_SEC_LO = 13'h080;
    localparam logic [12:0] REG_TIME_SEC_HI = 13'h084;
    localparam logic [12:0] REG_TIME_NSEC = 13'h088;
    localparam logic [12:0] REG_STATUS = 13'h0A0;
    localparam logic [12:0] REG_COUNTERS = 13'h100;    // 16 dwords
    localparam logic [12:0] REG_ERROR_COUNT = 13'h200;
    localparam logic [12:0] REG_ERROR_HEAD = 13'h204;
    localparam logic [12:0] REG_ERROR_ADDR_LO = 13'h208;
    localparam logic [12:0] REG_ERROR_ADDR_HI = 13'h20C;
    localparam logic [12:0] REG_ERROR_POP = 13'h210;
    localparam logic [12:0] REG_NOTIFY_DATA = 13'h300;
    localparam logic [12:0] REG_NOTIFY_LENGTH = 13'h304;
    localparam logic [12:0] REG_NOTIFY_STATUS = 13'h308;
    localparam logic [12:0] REG_NOTIFY_FLAGS = 13'h30C;
    localparam logic [12:0] REG_REQUEST_DATA = 13'h310;
    localparam logic [12:0] REG_REQUEST_LENGTH = 13'h314;
    localparam logic [12:0] REG_REQUEST_STATUS = 13'h318;
    localparam logic [12:0] REG_REPLY_LENGTH = 13'h31C;
    localparam logic [12:0] REG_REPLY_DATA = 13'h320;
    localparam logic [12:0] REG_RETRIEVED_LENGTH = 13'h324;
    localparam logic [12:0] REG_RETRIEVED_DATA = 13'h328;
    localparam logic [12:0] REG_RETRIEVED_TAKEN = 13'h32C;

    localparam logic [31:0] NOTIFY_BUF_SIZE_MIN = 32'd296;     // a DELETE of a name of 255 bytes
    localparam logic [31:0] NOTIFY_BUF_SIZE_MAX = 32'd8192;
    localparam logic [31:0] NOTIFY_BUF_SIZE_DEFAULT = 32'd4136;
    localparam logic [31:0] VALID_SECONDS_DEFAULT = 32'd1;
    localparam logic [31:0] FUSE_OUT_HEADER_BYTES = 32'd16;
    localparam logic [31:0] REQUEST_BYTES_MIN = 32'd40;        // fuse_in_header
    localparam logic [31:0] REQUEST_BYTES_MAX = 32'd8192;      // of a reply too

    // Bits of CACHE_OPTIONS.
    localparam int unsigned OPTION_KEEP_CACHE = 0;
    localparam int unsigned OPTION_NEGATIVE_ENTRIES = 1;
    localparam int unsigned OPTION_LOCK_MESSAGES = 2;
    localparam int unsigned OPTIONS = 3;

    // Bits of NOTIFY_FLAGS.
    localparam int unsigned FLAG_OVERFLOW = 0;
    localparam int unsigned FLAG_RETRIEVED_LOST = 1;

    localparam int unsigned RETRIEVED_BYTES = 1024;            // are kept of a NOTIFY_REPLY
    localparam int unsigned RETRIEVED_BYTES_MIN = 80;          // fuse_in_header and fuse_notify_retrieve_in
    // verilator lint_on UNUSEDPARAM

endpackage
