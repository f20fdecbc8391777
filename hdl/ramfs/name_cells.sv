// The bytes of names, in linked cells of 32 bytes. One command at a time; `length` is 1 to 255.
//
// READ: `cell_bytes` and `cell_next` are those of `cell` from the cycle after `start` until the next command.
// STORE: the parsed name is written, its last cell first; `first` counts when `busy` falls. The cells must be free.
// COMPARE: `equal` counts when `busy` falls. FREE: the cells of a name.
module name_cells
    import ramfs_pkg::*, name_pkg::*;
#(
    parameter int unsigned CELLS = 4096
) (
    input  logic        clk,
    input  logic        rst,
    input  logic        start,
    input  cells_op_e   op,
    input  logic        which,              // of the parser's names
    input  logic [7:0]  length,
    input  cell_slot_t  from,               // the first cell; READ: the cell
    output logic        busy,
    output logic        equal,
    output cell_slot_t  first,
    output cell_bytes_t cell_bytes,
    output cell_slot_t  cell_next,
    output logic [14:0] free,               // cells

    output logic        bytes_which,        // the parser's bytes, a cycle later
    output logic [2:0]  bytes_index,
    input  cell_bytes_t bytes
);
    localparam int unsigned SLOT_W = $clog2(CELLS);

    typedef enum logic [2:0] {IDLE, FETCH, STORE, COMPARE, FREE} state_e;
    state_e     state_reg;
    logic       which_reg;
    logic [2:0] index_reg;                  // of the cell in its name
    logic [2:0] last;
    logic [2:0] last_reg;
    cell_slot_t from_reg;                   // FREE: the cell that was read

    assign last = 3'(cell_count(length) - 4'd1);

    // ---- free cells ----
    logic       take;
    logic       give;
    logic       slot_valid;
    cell_slot_t slot;
    slot_queue #(.COUNT(CELLS), .SLOT_W($bits(cell_slot_t))) slots (
        .clk, .rst, .slot_valid, .slot, .take, .give, .given(from_reg), .free
    );
    assign take = state_reg == STORE && slot_valid;
    assign give = state_reg == FREE;

    // ---- the cells ----
    typedef struct packed {
        cell_slot_t  next;
        cell_bytes_t bytes;
    } cell_t;
    cell_t      table_ram [2 ** SLOT_W];
    cell_t      read;
    cell_t      write_data;
    cell_slot_t read_index;
    logic       read_enable;

    assign write_data = '{next: first, bytes: bytes};
    assign read_index = state_reg == IDLE ? from : read.next;
    assign read_enable = (start && op != CELLS_STORE) || ((state_reg == COMPARE || state_reg == FREE) && index_reg != last_reg);
    always_ff @(posedge clk) begin
        if (take) table_ram[slot[SLOT_W-1:0]] <= write_data;
        if (read_enable) read <= table_ram[read_index[SLOT_W-1:0]];
    end
    assign cell_bytes = read.bytes;
    assign cell_next = read.next;

    logic unused;                           // cells are below CELLS
    assign unused = &{1'b0, read_index};

    // COMPARE needs the name's next bytes together with the next cell.
    assign bytes_which = state_reg == IDLE ? which : which_reg;
    always_comb begin
        bytes_index = index_reg;
        if (state_reg == IDLE) bytes_index = op == CELLS_STORE ? last : '0;
        if (state_reg == COMPARE) bytes_index = index_reg + 3'd1;
    end

    always_ff @(posedge clk) begin
        case (state_reg)
            IDLE: if (start) begin
                which_reg <= which;
                from_reg <= from;
                last_reg <= last;
                index_reg <= '0;
                equal <= 1'b0;
                case (op)
                    CELLS_STORE: begin
                        first <= '0;
                        index_reg <= last;
                        state_reg <= STORE;
                    end
                    CELLS_COMPARE: state_reg <= COMPARE;
                    CELLS_FREE: state_reg <= FREE;
                    default: ;
                endcase
            end
            FETCH: state_reg <= STORE;
            STORE: if (take) begin
                first <= slot;
                index_reg <= index_reg - 3'd1;
                state_reg <= index_reg == '0 ? IDLE : FETCH;
            end
            COMPARE: begin
                index_reg <= index_reg + 3'd1;
                equal <= read.bytes == bytes;
                if (read.bytes != bytes || index_reg == last_reg) state_reg <= IDLE;
            end
            default: begin
                index_reg <= index_reg + 3'd1;
                from_reg <= read.next;
                if (index_reg == last_reg) state_reg <= IDLE;
            end
        endcase
        if (rst) state_reg <= IDLE;
    end

    assign busy = state_reg != IDLE;
endmodule
