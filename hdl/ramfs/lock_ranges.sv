// The locks that are held. A command looks at all of them, one a cycle, and then changes the owner's: what the new range
// covers goes, what lies beyond it stays as up to two pieces, what has the same type and touches it becomes one with it.
//
// `done` is one cycle; the answers stay until the next command.
module lock_ranges
    import ramfs_pkg::*, lock_pkg::*;
#(
    parameter int unsigned LOCKS = 64
) (
    input  logic        clk,
    input  logic        rst,
    input  logic        forget,             // all locks; no command is under way
    input  logic        start,
    input  ranges_cmd_t cmd,                // stays until done
    output logic        done,
    output logic        blocked,            // another owner's lock is in the way: nothing was changed
    output logic        full,               // the locks would not fit: nothing was changed
    output logic        freed,              // a lock went, or became less
    output held_t       blocker             // the first that is in the way
);
    localparam int unsigned INDEX_W = $clog2(LOCKS);
    typedef logic [INDEX_W-1:0] index_t;
    typedef logic [INDEX_W:0]   count_t;

    if (LOCKS < 2) begin : gen_check
        $fatal(1, "lock_ranges: LOCKS %0d, at least 2 are needed", LOCKS);
    end

    function automatic index_t lowest(input logic [LOCKS-1:0] bits);
        index_t index;
        index = '0;
        for (int unsigned i = LOCKS; i > 0; i--) begin
            if (bits[i-1]) index = index_t'(i - 1);
        end
        return index;
    endfunction

    typedef enum logic [1:0] {IDLE, SCAN, DECIDE, WRITE} state_e;
    state_e           state_reg;
    logic [LOCKS-1:0] used_reg;
    logic [LOCKS-1:0] todo_reg;             // to be read
    logic [LOCKS-1:0] touched_reg;          // that go
    count_t           used_count_reg;
    count_t           touched_count_reg;

    // ---- the table ----
    held_t  locks [LOCKS];
    held_t  held;
    held_t  write_data;
    index_t read_index;
    index_t held_index_reg;
    logic   held_valid_reg;
    index_t free_index;
    logic   write;

    assign read_index = lowest(todo_reg);
    assign free_index = lowest(~used_reg);
    always_ff @(posedge clk) begin
        if (write) locks[free_index] <= write_data;
        if (state_reg == SCAN) held <= locks[read_index];
    end
    always_ff @(posedge clk) begin
        held_valid_reg <= state_reg == SCAN && todo_reg != '0;
        held_index_reg <= read_index;
    end

    // ---- one lock against the command's ----
    held_t wanted;
    logic  alike;                           // of the same inode and kind
    logic  mine;
    logic  overlaps;
    logic  joins;                           // overlaps, or lies next to it
    logic  same_type;
    logic  touched;
    logic  in_the_way;
    logic  precedes;                        // is told instead of the blocker so far

    logic unused;                           // the pid goes along with merged_reg
    assign unused = &{1'b0, wanted};
    assign wanted = cmd.lock;
    assign alike = held.node == wanted.node && held.flock == wanted.flock;
    assign mine = alike && held.owner == wanted.owner;
    assign overlaps = held.start <= wanted.finish && wanted.start <= held.finish;
    assign joins = {1'b0, held.start} <= {1'b0, wanted.finish} + 64'd1
        && {1'b0, wanted.start} <= {1'b0, held.finish} + 64'd1;
    assign same_type = cmd.op == RANGES_SET && held.write == wanted.write;
    always_comb begin
        touched = held_valid_reg && mine && (same_type ? joins : overlaps);
        if (cmd.op == RANGES_DROP) touched = held_valid_reg && held.node == wanted.node;
        if (cmd.op == RANGES_TEST) touched = 1'b0;
    end
    assign in_the_way = held_valid_reg && (cmd.op == RANGES_TEST || cmd.op == RANGES_SET) && alike && !mine && overlaps
        && (held.write || wanted.write);
    assign precedes = {held.start, held.owner} < {blocker.start, blocker.owner};

    // ---- what becomes of the owner's locks ----
    held_t      merged_reg;                 // the new lock, with those that it joins
    held_t      left_reg;                   // what is left before it, and behind it
    held_t      right_reg;
    logic [2:0] pieces_reg;                 // that are still to be written: right, left, merged
    count_t     pieces;
    logic       fits;

    assign pieces = count_t'(pieces_reg[0]) + count_t'(pieces_reg[1]) + count_t'(pieces_reg[2]);
    assign fits = used_count_reg - touched_count_reg + pieces <= count_t'(LOCKS);

    always_comb begin
        write = state_reg == WRITE && pieces_reg != '0;
        write_data = right_reg;
        if (pieces_reg[1]) write_data = left_reg;
        if (pieces_reg[0]) write_data = merged_reg;
    end

    always_ff @(posedge clk) begin
        if (start) begin
            merged_reg <= cmd.lock;
            pieces_reg <= {2'b00, cmd.op == RANGES_SET};
            blocked <= 1'b0;
            freed <= 1'b0;
        end
        if (in_the_way) begin
            blocked <= 1'b1;
            if (!blocked || precedes) blocker <= held;
        end
        if (touched && same_type) begin
            if (held.start < merged_reg.start) merged_reg.start <= held.start;
            if (held.finish > merged_reg.finish) merged_reg.finish <= held.finish;
        end
        if (touched && !same_type) begin
            freed <= 1'b1;
            if (cmd.op != RANGES_DROP && held.start < wanted.start) begin
                left_reg <= held;
                left_reg.finish <= wanted.start - 63'd1;
                pieces_reg[1] <= 1'b1;
            end
            if (cmd.op != RANGES_DROP && held.finish > wanted.finish) begin
                right_reg <= held;
                right_reg.start <= wanted.finish + 63'd1;
                pieces_reg[2] <= 1'b1;
            end
        end
        if (state_reg == WRITE) pieces_reg <= pieces_reg & (pieces_reg - 3'd1);
    end

    // ---- the steps ----
    always_ff @(posedge clk) begin
        done <= 1'b0;
        case (state_reg)
            IDLE: if (start) begin
                todo_reg <= used_reg;
                touched_reg <= '0;
                touched_count_reg <= '0;
                state_reg <= SCAN;
            end
            SCAN: begin
                todo_reg <= todo_reg & (todo_reg - LOCKS'(1));
                if (todo_reg == '0 && !held_valid_reg) state_reg <= DECIDE;
            end
            DECIDE: begin
                full <= !fits;
                state_reg <= IDLE;
                done <= 1'b1;
                if (!blocked && cmd.op != RANGES_TEST && fits) begin
                    used_reg <= used_reg & ~touched_reg;
                    used_count_reg <= used_count_reg - touched_count_reg;
                    done <= 1'b0;
                    state_reg <= WRITE;
                end
            end
            default: begin
                if (pieces_reg != '0) begin
                    used_reg[free_index] <= 1'b1;
                    used_count_reg <= used_count_reg + count_t'(1);
                end else begin
                    done <= 1'b1;
                    state_reg <= IDLE;
                end
            end
        endcase
        if (touched) begin
            touched_reg[held_index_reg] <= 1'b1;
            touched_count_reg <= touched_count_reg + count_t'(1);
        end
        if (rst || forget) begin
            used_reg <= '0;
            used_count_reg <= '0;
            state_reg <= IDLE;
            done <= 1'b0;
        end
    end
endmodule
