// Requests of the DPU to the file system in hardware: it pushes one dword by dword, then its length, and takes the reply
// dword by dword. A device reset does not touch either.
module fuse_mailbox
    import pcie_pkg::access_t, dpu_pkg::*;
#(
    parameter int unsigned DATA_W = 256
) (
    input  logic           clk,
    input  logic           rst,
    input  access_t        access,
    output logic [31:0]    rdata,
    output logic           fail,          // a request is still under way
    input  logic           firmware,      // answers FUSE: nobody is there to ask
    dpu_client_if.mailbox  client
);
    localparam int unsigned WORDS = REQUEST_BYTES_MAX * 8 / DATA_W;
    localparam int unsigned ADDR_W = $clog2(WORDS);
    localparam int unsigned DWORDS = REQUEST_BYTES_MAX / 4;
    localparam int unsigned INDEX_W = $clog2(DWORDS);
    localparam int unsigned LANE_W = $clog2(DATA_W / 32);
    localparam int unsigned COUNT_W = $clog2(REQUEST_BYTES_MAX) + 1;

    typedef logic [INDEX_W:0] index_t;    // of a dword; DWORDS + 1: too many came

    typedef enum logic [1:0] {IDLE, CHECK, BUSY} state_e;
    state_e state_reg;
    logic   idle;
    assign idle = state_reg == IDLE;

    logic unused;
    assign unused = &{1'b0, access};

    logic [12:0] offset;
    logic        write, read, push, submit, take;
    assign offset = {access.addr[10:0], 2'b00};
    assign write = access.valid && access.write && (offset == REG_REQUEST_DATA || offset == REG_REQUEST_LENGTH);
    assign read = access.valid && !access.write;
    assign push = write && idle && offset == REG_REQUEST_DATA;
    assign submit = write && idle && offset == REG_REQUEST_LENGTH;
    assign take = read && offset == REG_REPLY_DATA;

    // ---- the request: a word is written anew with each of its dwords ----

    logic [DATA_W-1:0] request_words [WORDS];
    logic [DATA_W-1:0] gathered_reg, gathered;
    index_t            pushed_reg;
    logic [31:0]       length_reg, opcode_reg;

    always_comb begin
        gathered = gathered_reg;
        if (pushed_reg[LANE_W-1:0] == '0) gathered = '0;
        gathered[32 * pushed_reg[LANE_W-1:0] +: 32] = access.data;
    end

    always_ff @(posedge clk) begin
        if (push && !pushed_reg[INDEX_W]) request_words[pushed_reg[INDEX_W-1:LANE_W]] <= gathered;
        client.word <= request_words[client.addr];
    end

    always_ff @(posedge clk) begin
        if (push) begin
            gathered_reg <= gathered;
            if (pushed_reg == index_t'(1)) opcode_reg <= access.data;
            if (pushed_reg <= index_t'(DWORDS)) pushed_reg <= pushed_reg + 1'b1;
        end
        if (submit) length_reg <= access.data;
        if (rst || state_reg == CHECK) pushed_reg <= '0;
    end

    logic acceptable;
    assign acceptable = !firmware && length_reg >= REQUEST_BYTES_MIN && length_reg <= REQUEST_BYTES_MAX
        && 32'(pushed_reg) == (length_reg + 32'd3) >> 2;

    assign client.valid = state_reg == BUSY;
    assign client.bytes = length_reg[COUNT_W-1:0];
    assign client.opcode = opcode_reg;

    // ---- the reply: its next dword ----

    logic [DATA_W-1:0]  reply_words [WORDS];
    logic [DATA_W-1:0]  word_reg;
    logic [COUNT_W-1:0] reply_bytes_reg, taken_reg, left;
    logic [31:0]        dword;

    assign left = reply_bytes_reg - taken_reg;
    always_comb begin
        dword = word_reg[32 * taken_reg[LANE_W+1:2] +: 32];
        for (int unsigned i = 0; i < 4; i++) if (COUNT_W'(i) >= left) dword[8 * i +: 8] = '0;
    end

    always_ff @(posedge clk) begin
        if (client.reply_write) reply_words[client.reply_addr] <= client.reply_word;
        word_reg <= reply_words[taken_reg[LANE_W+2 +: ADDR_W]];
    end

    always_ff @(posedge clk) begin
        if (take) taken_reg <= left > COUNT_W'(4) ? taken_reg + COUNT_W'(4) : reply_bytes_reg;
        if (rst || submit) begin
            taken_reg <= '0;
            reply_bytes_reg <= '0;
        end else if (client.done) begin
            reply_bytes_reg <= client.reply_bytes;
        end
    end

    // ---- what became of it ----

    localparam logic [1:0] NOTHING = 2'd0;
    localparam logic [1:0] ANSWERED = 2'd1;
    localparam logic [1:0] REFUSED = 2'd3;
    logic [1:0] result_reg;

    always_ff @(posedge clk) begin
        unique case (state_reg)
            IDLE: if (submit) state_reg <= CHECK;
            CHECK: begin
                state_reg <= acceptable ? BUSY : IDLE;
                result_reg <= REFUSED;
            end
            default: if (client.done) begin
                state_reg <= IDLE;
                result_reg <= ANSWERED;
            end
        endcase
        if (rst) begin
            state_reg <= IDLE;
            result_reg <= NOTHING;
        end
    end

    always_ff @(posedge clk) begin
        fail <= write && !idle;
        rdata <= '0;
        if (read) begin
            case (offset)
                REG_REQUEST_STATUS: rdata <= {!idle, 29'b0, result_reg};
                REG_REPLY_LENGTH: rdata <= 32'(reply_bytes_reg);
                REG_REPLY_DATA: rdata <= dword;
                default: rdata <= '0;
            endcase
        end
    end
endmodule
