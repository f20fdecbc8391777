// Requests that wait for a lock, in the order in which they came: looked at by position, 0 is the oldest.
module lock_waits
    import ramfs_pkg::*, lock_pkg::*;
#(
    parameter int unsigned WAITS = 8,
    localparam int unsigned COUNT_W = $clog2(WAITS + 1)
) (
    input  logic               clk,
    input  logic               rst,
    input  logic               forget,      // all of them
    input  logic               put,         // only while `count` is below WAITS
    input  wait_t              put_wait,
    input  logic               look,        // -> wait_found a cycle later, until the next look
    input  logic [COUNT_W-1:0] position,
    output wait_t              wait_found,
    input  logic               remove,      // the one at `position`
    output logic [COUNT_W-1:0] count
);
    localparam int unsigned SLOT_W = WAITS > 1 ? $clog2(WAITS) : 1;
    typedef logic [SLOT_W-1:0] slot_t;

    wait_t             table_of_waits [WAITS];
    slot_t [WAITS-1:0] order_reg;           // slots by age; those behind `count` are free

    always_ff @(posedge clk) begin
        if (put) table_of_waits[order_reg[slot_t'(count)]] <= put_wait;
        if (look) wait_found <= table_of_waits[order_reg[slot_t'(position)]];
    end

    always_ff @(posedge clk) begin
        if (rst) begin
            for (int unsigned i = 0; i < WAITS; i++) order_reg[i] <= slot_t'(i);
        end else if (remove) begin
            for (int unsigned i = 0; i + 1 < WAITS; i++) begin
                if (COUNT_W'(i) >= position) order_reg[i] <= order_reg[i+1];
            end
            order_reg[WAITS-1] <= order_reg[slot_t'(position)];
        end
        if (rst || forget) count <= '0;
        else count <= count + COUNT_W'(put) - COUNT_W'(remove);
    end
endmodule
