// PCI Express as the endpoint sees it: TLP fields, configuration space, BAR 0, and the dword access that a request
// of the host becomes.
package pcie_pkg;

    // ---- Type field of the TLPs that a host sends (tlp_pkg has those of DMA) ----
    localparam logic [4:0] TLP_MEMORY = 5'b00000;
    localparam logic [4:0] TLP_MEMORY_LOCKED = 5'b00001;
    localparam logic [4:0] TLP_CONFIG0 = 5'b00100;
    localparam logic [4:0] TLP_COMPLETION = 5'b01010;
    localparam logic [4:0] TLP_COMPLETION_LOCKED = 5'b01011;
    localparam logic [1:0] TLP_MESSAGE = 2'b10;            // type[4:3]; type[2:0] is the routing

    // ---- a dword access to registers: write data and byte enables, read data in the following cycle ----
    typedef struct packed {
        logic        valid;
        logic        write;
        logic [12:0] addr;     // of the dword
        logic [3:0]  be;
        logic [31:0] data;
    } access_t;

    // Bytes of `value` where `be` is set, else those of `old`.
    function automatic logic [31:0] merge(logic [31:0] old, logic [31:0] value, logic [3:0] be);
        logic [31:0] mask;
        mask = {{8{be[3]}}, {8{be[2]}}, {8{be[1]}}, {8{be[0]}}};
        return (old & ~mask) | (value & mask);
    endfunction

    // ---- BAR 0: byte offsets ----
    localparam int unsigned BAR0_ADDR_W = 15;
    localparam logic [14:0] BAR0_COMMON = 15'h0000;
    localparam logic [14:0] BAR0_ISR = 15'h1000;
    localparam logic [14:0] BAR0_DEVICE = 15'h2000;
    localparam logic [14:0] BAR0_NOTIFY = 15'h3000;
    localparam logic [14:0] BAR0_MSIX_TABLE = 15'h4000;
    localparam logic [14:0] BAR0_MSIX_PBA = 15'h5000;
    localparam logic [31:0] COMMON_LENGTH = 32'h40;
    localparam logic [31:0] ISR_LENGTH = 32'h1;
    localparam logic [31:0] NOTIFY_LENGTH = 32'h40;
    localparam logic [31:0] NOTIFY_MULTIPLIER = 32'd4;     // satisfies PCI-NOTIFY-D03 and D07 in every reading

    // ---- configuration space: byte offsets ----
    localparam logic [11:0] CFG_ID = 12'h000;
    localparam logic [11:0] CFG_COMMAND = 12'h004;         // Status above it
    localparam logic [11:0] CFG_CLASS = 12'h008;
    localparam logic [11:0] CFG_CACHE_LINE = 12'h00C;
    localparam logic [11:0] CFG_BAR0 = 12'h010;
    localparam logic [11:0] CFG_BAR0_HIGH = 12'h014;
    localparam logic [11:0] CFG_SUBSYSTEM = 12'h02C;
    localparam logic [11:0] CFG_CAP_POINTER = 12'h034;
    localparam logic [11:0] CFG_INTERRUPT = 12'h03C;
    localparam logic [11:0] CAP_PCIE = 12'h040;
    localparam logic [11:0] CAP_POWER = 12'h080;
    localparam logic [11:0] CAP_MSIX = 12'h088;
    localparam logic [11:0] CAP_COMMON = 12'h094;
    localparam logic [11:0] CAP_NOTIFY = 12'h0A4;
    localparam logic [11:0] CAP_ISR = 12'h0B8;
    localparam logic [11:0] CAP_DEVICE = 12'h0C8;
    localparam logic [11:0] CAP_PCI_CFG = 12'h0D8;

    // Offsets in the PCI Express capability
    localparam logic [11:0] PCIE_DEVICE_CAP = 12'h04;
    localparam logic [11:0] PCIE_DEVICE_CONTROL = 12'h08;  // Device Status above it
    localparam logic [11:0] PCIE_LINK_CAP = 12'h0C;
    localparam logic [11:0] PCIE_LINK_CONTROL = 12'h10;    // Link Status above it
    localparam logic [11:0] PCIE_LINK_CAP2 = 12'h2C;
    localparam logic [11:0] PCIE_LINK_CONTROL2 = 12'h30;

    // Offsets in the power management capability
    localparam logic [11:0] POWER_CONTROL = 12'h04;

    localparam logic [7:0] CAP_ID_POWER = 8'h01;
    localparam logic [7:0] CAP_ID_PCIE = 8'h10;
    localparam logic [7:0] CAP_ID_MSIX = 8'h11;
    localparam logic [7:0] CAP_ID_VENDOR = 8'h09;

    // Of the two low bits of the power management control; D1 and D2 do not exist.
    localparam logic [1:0] STATE_D0 = 2'd0;
    localparam logic [1:0] STATE_D3HOT = 2'd3;

    // The PCI_CFG capability's window into BAR 0
    typedef struct packed {
        logic [7:0]  bar;
        logic [31:0] offset;
        logic [31:0] length;
        logic [31:0] data;
    } window_t;

    // ---- requests of the host ----
    typedef enum logic [2:0] {
        REQ_IGNORED,           // posted, without effect: messages, stray completions
        REQ_WRITE,
        REQ_READ,
        REQ_CONFIG_READ,
        REQ_CONFIG_WRITE,
        REQ_OTHER              // any other: answered with Unsupported Request
    } request_e;

    typedef struct packed {
        request_e    kind;
        logic        unsupported;   // outside what the function decodes
        logic        poisoned;
        logic        locked;        // MRdLk: refused, by a completion of its own type
        logic [2:0]  tc;
        logic [2:0]  attr;
        logic [15:0] requester;
        logic [9:0]  tag;
        logic [3:0]  first_be;
        logic [3:0]  last_be;
        logic [10:0] dwords;
        logic [12:0] addr;          // first dword, in BAR 0 or configuration space
        logic [12:0] bus_device;    // configuration requests: where the function lives
    } request_t;

    // Errors in the host's requests, pulses
    typedef struct packed {
        logic poisoned;
        logic unsupported_posted;
        logic unsupported;
    } request_error_t;

    // Functions look at the part of a request that concerns them.
    // verilator lint_off UNUSEDSIGNAL

    // Classifies a request. `bar0` is the base address of BAR 0 in units of its size.
    function automatic request_t decode_request(logic [127:0] hdr, logic memory_enable, logic [48:0] bar0);
        request_t   r;
        logic [2:0] fmt;
        logic [4:0] kind;
        logic       hit;
        fmt = hdr[127:125];
        kind = hdr[124:120];
        hit = memory_enable && bar0 == (fmt[0] ? hdr[63:15] : {32'b0, hdr[63:47]});
        r.tag = {hdr[119], hdr[115], hdr[79:72]};
        r.tc = hdr[118:116];
        r.attr = {hdr[114], hdr[109:108]};
        r.poisoned = hdr[110];
        r.locked = kind == TLP_MEMORY_LOCKED;
        r.dwords = {hdr[105:96] == '0, hdr[105:96]};
        r.requester = hdr[95:80];
        r.last_be = hdr[71:68];
        r.first_be = hdr[67:64];
        r.addr = fmt[0] ? hdr[14:2] : hdr[46:34];
        r.bus_device = hdr[63:51];
        r.kind = REQ_OTHER;
        r.unsupported = 1'b1;
        if (kind == TLP_MEMORY && !fmt[2]) begin
            r.kind = fmt[1] ? REQ_WRITE : REQ_READ;
            r.unsupported = !hit;
        end else if (kind == TLP_CONFIG0 && !fmt[2] && !fmt[0]) begin
            r.kind = fmt[1] ? REQ_CONFIG_WRITE : REQ_CONFIG_READ;
            r.addr = {3'b0, hdr[43:34]};
            // Only function 0 exists. A poisoned configuration write must not change a register.
            r.unsupported = hdr[50:48] != '0 || (fmt[1] && r.poisoned);
        end else if (kind[4:3] == TLP_MESSAGE || kind == TLP_COMPLETION || kind == TLP_COMPLETION_LOCKED) begin
            r.kind = REQ_IGNORED;
            r.unsupported = 1'b0;
        end
        return r;
    endfunction

    function automatic logic is_posted(request_t r);
        return r.kind == REQ_IGNORED || r.kind == REQ_WRITE;
    endfunction

    // Position of the first enabled byte; 0 if there is none.
    function automatic logic [1:0] first_byte(logic [3:0] be);
        return be[0] ? 2'd0 : be[1] ? 2'd1 : be[2] ? 2'd2 : be[3] ? 2'd3 : 2'd0;
    endfunction

    // Byte Count of the first completion of a read: a read of no bytes counts as one (PCIe, zero-length read).
    function automatic logic [12:0] byte_count(request_t r);
        logic [2:0] be;     // the upper three enables of the last dword
        logic [1:0] after;
        be = r.dwords == 11'd1 ? r.first_be[3:1] : r.last_be[3:1];
        after = be[2] ? 2'd0 : be[1] ? 2'd1 : be[0] ? 2'd2 : 2'd3;
        return {r.dwords, 2'b00} - 13'(first_byte(r.first_be)) - 13'(after);
    endfunction

    // A completion header. Traffic class, attributes and the upper tag bits are those
    // of the request.
    function automatic logic [127:0] completion_header(
        request_t r, logic [15:0] completer, logic [2:0] status, logic [9:0] dwords, logic [11:0] bytes,
        logic [6:0] lower_address
    );
        logic [127:0] h;
        h = tlp_pkg::pack_completion('{
            fmt_type: dwords == '0 ? tlp_pkg::TLP_CPL : tlp_pkg::TLP_CPLD, poisoned: 1'b0, length: dwords,
            completer_id: completer, status: status, byte_count: bytes,
            requester_id: r.requester, tag: r.tag[7:0], lower_address: lower_address
        });
        h[120] = r.locked;
        h[119:114] = {r.tag[9], r.tc, r.tag[8], r.attr[2]};
        h[109:108] = r.attr[1:0];
        return h;
    endfunction
    // verilator lint_on UNUSEDSIGNAL

endpackage
