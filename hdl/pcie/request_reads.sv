// Executes non-posted requests one after the other: reads dword by dword, in completions that end at 128-byte
// boundaries (an endpoint's read completion boundary, and the least Max_Payload_Size).
module request_reads
    import pcie_pkg::*;
(
    input  logic           clk,
    input  logic           rst,
    input  logic           valid,          // the oldest non-posted request
    output logic           pop,
    input  request_t       request,
    input  logic [31:0]    wdata,          // of a configuration write
    input  logic           memory_enable,  // requests before this one may have changed it
    input  logic           retry,          // configuration requests are answered with Retry Status
    input  logic [15:0]    completer_id,
    input  logic           hold,           // no access may be made now
    output logic           busy,           // making progress: younger posted writes wait
    output access_t        access,
    output logic           access_cfg,     // configuration space, not BAR 0
    input  logic [31:0]    rdata,          // two cycles after the access
    output logic           capture,        // a configuration write tells the function its bus and device number
    output logic [12:0]    capture_id,
    output logic           unsupported,    // pulse
    // to the completion queue
    input  logic           space,          // for one more completion
    output logic           dword_valid,
    output logic           dword_last,
    output logic [31:0]    dword,
    output logic           push,
    output logic           push_waits,     // a read completion: must not pass posted writes
    output logic [5:0]     push_dwords,
    output logic [127:0]   push_hdr
);
    typedef enum logic [2:0] {IDLE, START, ISSUE, ACCESS, CAPTURE, PUSH} state_e;

    state_e      state_reg;
    request_t    request_reg;
    logic [31:0] wdata_reg;
    logic [10:0] left_reg;        // dwords of the request, this one included
    logic [12:0] addr_reg;
    logic        first_reg;       // the first dword of the request
    logic [5:0]  dwords_reg;      // of this completion
    logic [12:0] bytes_reg;       // Byte Count of this completion
    logic [6:0]  lower_reg;       // Lower Address of this completion

    logic        is_memory, is_config_write, fails, completion_end;
    logic [2:0]  status, status_reg;

    assign is_memory = request_reg.kind == REQ_READ;
    assign is_config_write = request_reg.kind == REQ_CONFIG_WRITE;
    always_comb begin
        status = tlp_pkg::CPL_SC;
        if (request_reg.unsupported || (is_memory && !memory_enable)) status = tlp_pkg::CPL_UR;
        else if (!is_memory && retry) status = tlp_pkg::CPL_CRS;
    end
    assign fails = status_reg != tlp_pkg::CPL_SC;
    assign completion_end = left_reg == 11'd1 || &addr_reg[4:0];
    assign busy = state_reg == IDLE ? valid : state_reg != START || space;
    assign pop = state_reg == IDLE && valid;

    always_comb begin
        access.valid = state_reg == ISSUE && !hold;
        access.write = is_config_write;
        access.addr = addr_reg;
        access.data = wdata_reg;
        if (first_reg) access.be = request_reg.first_be;
        else if (left_reg == 11'd1) access.be = request_reg.last_be;
        else access.be = '1;
    end
    assign access_cfg = !is_memory;
    assign capture = access.valid && is_config_write;
    assign capture_id = request_reg.bus_device;

    assign dword_valid = state_reg == CAPTURE && !is_config_write;
    assign dword_last = completion_end;
    assign dword = rdata;
    assign push = state_reg == PUSH;
    assign push_waits = !fails && !is_config_write;
    assign push_dwords = dwords_reg;
    assign push_hdr = completion_header(
        request_reg, completer_id, status_reg, 10'(dwords_reg), bytes_reg[11:0], lower_reg
    );
    assign unsupported = push && status_reg == tlp_pkg::CPL_UR;

    always_ff @(posedge clk) begin
        unique case (state_reg)
            IDLE: if (valid) begin
                request_reg <= request;
                wdata_reg <= wdata;
                left_reg <= request.kind == REQ_READ ? request.dwords : 11'd1;
                addr_reg <= request.addr;
                first_reg <= 1'b1;
                // Byte Count is 4 and Lower Address 0 for all but memory reads.
                bytes_reg <= request.kind == REQ_READ ? byte_count(request) : 13'd4;
                lower_reg <= request.kind == REQ_READ ? {request.addr[4:0], first_byte(request.first_be)} : 7'd0;
                state_reg <= START;
            end
            START: if (space) begin
                dwords_reg <= '0;
                status_reg <= status;
                state_reg <= status != tlp_pkg::CPL_SC ? PUSH : ISSUE;
            end
            ISSUE: if (!hold) state_reg <= ACCESS;
            ACCESS: state_reg <= CAPTURE;
            CAPTURE: begin
                if (!is_config_write) dwords_reg <= dwords_reg + 6'd1;
                if (completion_end) state_reg <= PUSH;
                else begin
                    left_reg <= left_reg - 11'd1;
                    addr_reg <= addr_reg + 13'd1;
                    first_reg <= 1'b0;
                    state_reg <= ISSUE;
                end
            end
            PUSH: begin
                left_reg <= left_reg - 11'd1;
                addr_reg <= addr_reg + 13'd1;
                first_reg <= 1'b0;
                bytes_reg <= bytes_reg - (13'd128 - 13'(lower_reg));
                lower_reg <= '0;
                state_reg <= fails || left_reg == 11'd1 ? IDLE : START;
            end
            default: state_reg <= IDLE;
        endcase
        if (rst) state_reg <= IDLE;
    end
endmodule
