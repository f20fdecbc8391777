// Two users of one storage port: the first goes before the second, and an access on offer stays. Words go back to whom
// they belong to, in the order of the reads.
module storage_join (
    input  logic   clk,
    input  logic   rst,
    storage_if.slv first,
    storage_if.slv second,
    storage_if.mst storage
);
    logic locked_reg;            // on offer
    logic first_reg;             // whose
    logic is_first;
    logic room;
    logic of_first;              // the next word

    assign is_first = locked_reg ? first_reg : first.valid;
    assign storage.valid = (is_first ? first.valid : second.valid) && room;
    assign storage.write = is_first ? first.write : second.write;
    assign storage.addr = is_first ? first.addr : second.addr;
    assign storage.wdata = is_first ? first.wdata : second.wdata;
    assign storage.wstrb = is_first ? first.wstrb : second.wstrb;
    assign first.ready = is_first && room && storage.ready;
    assign second.ready = !is_first && room && storage.ready;
    assign first.rvalid = storage.rvalid && of_first;
    assign second.rvalid = storage.rvalid && !of_first;
    assign first.rdata = storage.rdata;
    assign second.rdata = storage.rdata;

    logic unused_valid;
    logic [4:0] unused_count;
    word_fifo #(.WIDTH(1), .DEPTH(16)) owners (
        .clk, .rst, .in_valid(storage.valid && storage.ready && !storage.write), .in_ready(room), .in_data(is_first),
        .out_valid(unused_valid), .out_ready(storage.rvalid), .out_data(of_first), .count(unused_count)
    );
    logic unused;
    assign unused = &{1'b0, unused_valid, unused_count};

    always_ff @(posedge clk) begin
        if (storage.valid) begin
            locked_reg <= !storage.ready;
            first_reg <= is_first;
        end
        if (rst) locked_reg <= 1'b0;
    end
endmodule
