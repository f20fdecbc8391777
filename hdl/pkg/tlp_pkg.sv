// Headers of the transaction-layer packets that the endpoint sends and takes, as they lie on tlp_if.hdr
// (DW0 in [127:96], byte 0 of a DW in its bits [31:24]). PCIe Base Specification, "Transaction Layer
// Specification": memory requests, completions, byte enables.
package tlp_pkg;

    // A package's constants are not all used in each design.
    // verilator lint_off UNUSEDPARAM

    // Fmt and Type, byte 0 of a header.
    localparam logic [7:0] TLP_MRD_3DW = 8'h00;
    localparam logic [7:0] TLP_MRD_4DW = 8'h20;
    localparam logic [7:0] TLP_MWR_3DW = 8'h40;
    localparam logic [7:0] TLP_MWR_4DW = 8'h60;
    localparam logic [7:0] TLP_CPL = 8'h0A;
    localparam logic [7:0] TLP_CPLD = 8'h4A;
    localparam logic [7:0] TLP_MSG_LOCAL = 8'h34;        // without data; ends at its receiver, the root port

    // Message codes of INTx.
    localparam logic [7:0] MSG_ASSERT_INTA = 8'h20;
    localparam logic [7:0] MSG_DEASSERT_INTA = 8'h24;

    // Completion status.
    localparam logic [2:0] CPL_SC = 3'b000;
    localparam logic [2:0] CPL_UR = 3'b001;
    localparam logic [2:0] CPL_CRS = 3'b010;
    localparam logic [2:0] CPL_CA = 3'b100;
    // verilator lint_on UNUSEDPARAM

    typedef struct packed {
        logic        write;
        logic [15:0] requester_id;
        logic [7:0]  tag;
        logic [63:0] addr;          // of the first byte; bits 1:0 do not travel, the byte enables do
        logic [9:0]  length;        // dwords, 0 means 1024
        logic [3:0]  first_be;
        logic [3:0]  last_be;
    } mem_request_t;

    typedef struct packed {
        logic [7:0]  fmt_type;
        logic        poisoned;
        logic [9:0]  length;        // dwords, 0 means 1024
        logic [15:0] completer_id;
        logic [2:0]  status;
        logic [11:0] byte_count;    // 0 means 4096
        logic [15:0] requester_id;
        logic [7:0]  tag;
        logic [6:0]  lower_address;
    } completion_t;

    // 3-DW header below 4 GiB, 4-DW above: a 4-DW header with an upper half of zero is not allowed.
    function automatic logic [127:0] pack_mem_request(input mem_request_t r);
        logic long_address;
        logic [31:0] dw0;
        logic [31:0] dw1;
        long_address = r.addr[63:32] != 0;
        dw0 = {1'b0, r.write, long_address, 5'b0, 14'b0, r.length};
        dw0[31:24] = {1'b0, r.write, long_address, 5'b0};
        dw1 = {r.requester_id, r.tag, r.last_be, r.first_be};
        return long_address ? {dw0, dw1, r.addr[63:2], 2'b0} : {dw0, dw1, r.addr[31:2], 2'b0, 32'b0};
    endfunction

    function automatic logic [127:0] pack_completion(input completion_t c);
        return {
            c.fmt_type, 9'b0, c.poisoned, 4'b0, c.length,
            c.completer_id, c.status, 1'b0, c.byte_count,
            c.requester_id, c.tag, 1'b0, c.lower_address,
            32'b0
        };
    endfunction

    // A message without data for the root port: all else is reserved.
    function automatic logic [127:0] pack_message(input logic [15:0] requester_id, input logic [7:0] code);
        return {TLP_MSG_LOCAL, 24'b0, requester_id, 8'b0, code, 64'b0};
    endfunction

    // verilator lint_off UNUSEDSIGNAL
    function automatic completion_t unpack_completion(input logic [127:0] hdr);
        completion_t c;
        c.fmt_type = hdr[127:120];
        c.poisoned = hdr[110];
        c.length = hdr[105:96];
        c.completer_id = hdr[95:80];
        c.status = hdr[79:77];
        c.byte_count = hdr[75:64];
        c.requester_id = hdr[63:48];
        c.tag = hdr[47:40];
        c.lower_address = hdr[38:32];
        return c;
    endfunction
    // verilator lint_on UNUSEDSIGNAL

    // Dwords touched by `bytes` bytes that start `offset` bytes into a dword.
    function automatic logic [9:0] dword_count(input logic [1:0] offset, input logic [9:0] bytes);
        return 10'(({1'b0, bytes} + {9'b0, offset} + 11'd3) >> 2);
    endfunction

    function automatic logic [3:0] enables_from(input logic [1:0] offset);
        case (offset)
            2'd0: return 4'b1111;
            2'd1: return 4'b1110;
            2'd2: return 4'b1100;
            default: return 4'b1000;
        endcase
    endfunction

    // `end_offset`: bytes 1:0 of the address just behind the last byte; 0 is a whole dword.
    function automatic logic [3:0] enables_to(input logic [1:0] end_offset);
        case (end_offset)
            2'd1: return 4'b0001;
            2'd2: return 4'b0011;
            2'd3: return 4'b0111;
            default: return 4'b1111;
        endcase
    endfunction

    // A request of one dword has all its enables in First BE, and Last BE 0.
    function automatic logic [7:0] byte_enables(input logic [1:0] offset, input logic [9:0] bytes);
        logic [3:0] first;
        logic [3:0] last;
        first = enables_from(offset);
        last = enables_to(offset + bytes[1:0]);
        return dword_count(offset, bytes) == 10'd1 ? {4'b0, first & last} : {last, first};
    endfunction

endpackage
