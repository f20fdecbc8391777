// The DPU's own FUSE notifications: it pushes the message dword by dword, then its length. What can be decided here is
// refused here; the message store decides the rest.
module notify_mailbox
    import endpoint_pkg::*, pcie_pkg::access_t, dpu_pkg::*;
#(
    parameter int unsigned DATA_W = 256
) (
    input  logic           clk,
    input  logic           rst,
    input  access_t        access,
    output logic [31:0]    rdata,
    output logic           fail,          // a message is still under way
    input  device_state_t  device,
    input  logic           overflow,      // an invalidation was dropped
    input  logic           clear,         // device reset: a message under way is refused
    stream_if.src          message,       // user: engine_notify_t
    input  logic           mailbox_result_valid,
    input  notify_result_e mailbox_result,
    output logic           refused        // pulse: refused here
);
    localparam int unsigned WORDS = 2048;               // notify_buf_size is at most 8192
    localparam int unsigned INDEX_W = $clog2(WORDS);
    localparam int unsigned BEAT_DWORDS = DATA_W / 32;
    localparam int unsigned LANE_W = $clog2(BEAT_DWORDS);
    localparam int unsigned BYTES_W = $clog2(DATA_W / 8) + 1;

    typedef enum logic [2:0] {IDLE, CHECK, READ, GATHER, SEND, RESULT} state_e;

    logic unused;
    assign unused = &{1'b0, access, device};

    // ---- the buffer ----
    state_e             state_reg;
    logic [31:0]        words [WORDS];
    logic [31:0]        word_reg, head_reg, length_reg;
    logic [INDEX_W:0]   pushed_reg;                     // dwords; sticks at WORDS + 1 where too many came
    logic [INDEX_W-1:0] index_reg;
    logic [12:0]        offset;
    logic               write, push, submit, idle, over;

    assign offset = {access.addr[10:0], 2'b00};
    assign idle = state_reg == IDLE;
    assign write = access.valid && access.write && (offset == REG_NOTIFY_DATA || offset == REG_NOTIFY_LENGTH);
    assign push = write && idle && offset == REG_NOTIFY_DATA;
    assign submit = write && idle && offset == REG_NOTIFY_LENGTH;

    always_ff @(posedge clk) begin
        if (push && !pushed_reg[INDEX_W]) words[pushed_reg[INDEX_W-1:0]] <= access.data;
        word_reg <= words[index_reg];
    end

    always_ff @(posedge clk) begin
        if (push) begin
            if (pushed_reg == '0) head_reg <= access.data;
            if (pushed_reg <= (INDEX_W + 1)'(WORDS)) pushed_reg <= pushed_reg + (INDEX_W + 1)'(1);
        end
        if (submit) length_reg <= access.data;
        if (rst || state_reg == CHECK) over <= 1'b0;
        else if (push && pushed_reg[INDEX_W]) over <= 1'b1;
        if (rst || (!idle && state_reg != CHECK)) pushed_reg <= '0;
    end

    // ---- what is refused at once ----
    logic acceptable;
    assign acceptable = device.driver_ok && device.notification
        && length_reg >= FUSE_OUT_HEADER_BYTES && length_reg <= device.notify_buf_size
        && head_reg == length_reg                                        // fuse_out_header.len
        && 32'(pushed_reg) == (length_reg + 32'd3) >> 2 && !over;

    // ---- the stream: dwords are gathered into beats ----
    logic [DATA_W-1:0]  beat_reg;
    logic [LANE_W-1:0]  lane;
    logic [INDEX_W-1:0] last_index;
    logic               last_beat, answered_reg;
    logic [BYTES_W-2:0] before_last;    // bytes of the last beat, less 1
    notify_result_e     result_reg;
    engine_notify_t     user;

    assign lane = index_reg[LANE_W-1:0];
    assign last_index = INDEX_W'((length_reg - 32'd1) >> 2);
    assign last_beat = index_reg == last_index;

    always_comb begin
        user = '0;                                      // class 0: a raw message cannot be repaired, so none is dropped
        user.length = length_reg;
    end
    assign message.valid = state_reg == SEND;
    assign message.last = last_beat;
    assign message.data = beat_reg;
    assign before_last = length_reg[BYTES_W-2:0] - (BYTES_W - 1)'(1);
    assign message.bytes = last_beat ? {1'b0, before_last} + BYTES_W'(1) : BYTES_W'(DATA_W / 8);
    assign message.user = user;

    always_ff @(posedge clk) begin
        refused <= 1'b0;
        if (mailbox_result_valid && !idle) begin
            result_reg <= mailbox_result;
            answered_reg <= 1'b1;
        end
        unique case (state_reg)
            IDLE: if (submit) begin
                answered_reg <= 1'b0;
                state_reg <= CHECK;
            end
            CHECK: begin
                index_reg <= '0;
                state_reg <= READ;
                if (!acceptable) begin
                    result_reg <= NOTIFY_REFUSED;
                    answered_reg <= 1'b1;
                    refused <= 1'b1;
                    state_reg <= RESULT;
                end
            end
            READ: state_reg <= GATHER;
            GATHER: begin
                if (lane == '0) beat_reg <= DATA_W'(word_reg);
                else beat_reg[32 * lane +: 32] <= word_reg;
                if (last_beat || &lane) state_reg <= SEND;
                else begin
                    index_reg <= index_reg + INDEX_W'(1);
                    state_reg <= READ;
                end
            end
            SEND: if (message.ready) begin
                index_reg <= index_reg + INDEX_W'(1);
                state_reg <= last_beat ? RESULT : READ;
            end
            default: if (answered_reg) state_reg <= IDLE;
        endcase
        if (clear && !idle) begin
            result_reg <= NOTIFY_REFUSED;
            state_reg <= IDLE;
        end
        if (rst) begin
            result_reg <= NOTIFY_IDLE;
            state_reg <= IDLE;
        end
    end

    always_ff @(posedge clk) begin
        fail <= write && !idle;
        rdata <= '0;
        if (access.valid && !access.write) begin
            if (offset == REG_NOTIFY_STATUS) rdata <= {!idle, 29'b0, result_reg};
            if (offset == REG_NOTIFY_FLAGS) rdata <= 32'(overflow) << FLAG_OVERFLOW;
        end
    end
endmodule
