// Shares the storage port between the two halves of the data mover. Words that were read wait here: a read is begun
// only when there is room for its word. What was under way at a device reset is dropped when it comes.
//
// Not every output is of use.
// verilator lint_off PINCONNECTEMPTY
module storage_arbiter #(
    parameter int unsigned DATA_W = 256
) (
    input  logic                clk,
    input  logic                rst,
    input  logic                flush,
    input  logic                write_valid,
    output logic                write_ready,
    input  logic [31:0]         write_addr,
    input  logic [DATA_W-1:0]   write_data,
    input  logic [DATA_W/8-1:0] write_strb,
    output logic                write_pending,
    input  logic                read_valid,
    output logic                read_ready,
    input  logic [31:0]         read_addr,
    output logic                word_valid,
    input  logic                word_ready,
    output logic [DATA_W-1:0]   word,
    storage_if.mst              storage
);
    localparam int unsigned DEPTH = 64;
    localparam int unsigned COUNT_W = $clog2(DEPTH) + 1;

    logic [COUNT_W-1:0] claimed_reg;     // words under way or waiting
    logic [COUNT_W:0]   flying_reg;      // reads without their word
    logic [COUNT_W:0]   void_reg;        // of those, of a time before the last reset
    logic               turn_reg;        // a write went last
    logic               room;
    logic               can_read;
    logic               word_taken;
    logic               void_word;

    assign room = (!storage.valid || storage.ready) && !flush;
    assign can_read = read_valid && claimed_reg != COUNT_W'(DEPTH);
    assign write_ready = room && !(can_read && turn_reg);
    assign read_ready = room && claimed_reg != COUNT_W'(DEPTH) && !(write_valid && !turn_reg);
    assign write_pending = storage.valid && storage.write;
    assign word_taken = word_valid && word_ready;
    assign void_word = void_reg != 0;

    sync_fifo #(.WIDTH(DATA_W), .DEPTH(DEPTH)) word_queue (
        .clk, .rst(flush),
        .in_valid(storage.rvalid && !void_word), .in_ready(), .in_data(storage.rdata),
        .out_valid(word_valid), .out_ready(word_ready), .out_data(word)
    );

    always_ff @(posedge clk) begin
        if (room) begin
            storage.valid <= (write_valid && write_ready) || (read_valid && read_ready);
            storage.write <= write_valid && write_ready;
            if (write_valid && write_ready) begin
                storage.addr <= write_addr;
                storage.wdata <= write_data;
                storage.wstrb <= write_strb;
            end else if (read_valid && read_ready) begin
                storage.addr <= read_addr;
                storage.wstrb <= '0;
            end
            if (write_valid && write_ready) turn_reg <= 1'b1;
            else if (read_valid && read_ready) turn_reg <= 1'b0;
        end else if (storage.ready) begin
            storage.valid <= 1'b0;
        end
        flying_reg <= flying_reg + (COUNT_W + 1)'(read_valid && read_ready) - (COUNT_W + 1)'(storage.rvalid);
        if (storage.rvalid && void_word) void_reg <= void_reg - 1'b1;
        claimed_reg <= claimed_reg + COUNT_W'(read_valid && read_ready) - COUNT_W'(word_taken);
        if (flush) begin
            claimed_reg <= '0;
            void_reg <= flying_reg - (COUNT_W + 1)'(storage.rvalid);
        end
        if (rst) begin
            storage.valid <= 1'b0;
            flying_reg <= '0;
            void_reg <= '0;
            turn_reg <= 1'b0;
        end
    end
endmodule
// verilator lint_on PINCONNECTEMPTY
