// Looks for one or two names in the first bytes of a message, each up to its NUL: length, what is peculiar about it,
// hash. The bytes are kept, aligned and filled up with zeros, for the comparison and for the cells.
//
// A piece of 16 bytes takes two cycles.
module name_parser
    import ramfs_pkg::*, name_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    localparam int unsigned HEAD_W = $clog2(1024 * 8 / DATA_W)
) (
    input  logic              clk,
    input  logic              rst,

    input  logic              parse_valid,
    output logic              parse_ready,
    input  logic [10:0]       parse_from,
    input  logic              parse_two,
    input  logic [10:0]       parse_end,
    output logic              parsed_valid,     // one cycle; what follows stays until the next parse
    output name_info_t [1:0]  names,
    output hash_t [1:0]       hashes,
    output logic [10:0]       parse_next,       // behind the last NUL

    output logic              head_read,
    output logic [HEAD_W-1:0] head_addr,
    input  logic [DATA_W-1:0] head_data,        // one cycle after head_read

    input  logic              bytes_which,
    input  logic [2:0]        bytes_index,      // 32 bytes of the name, a cycle later
    output cell_bytes_t       bytes
);
    localparam int unsigned PIECES = DATA_W / (8 * PIECE_BYTES);     // in a word
    localparam logic [7:0] SLASH = "/";
    localparam logic [7:0] DOT = ".";

    typedef enum logic [2:0] {IDLE, READ, PRIME, SHIFT, EXAMINE, FOLD} state_e;
    state_e      state_reg;
    logic        two_reg;
    logic        which_reg;
    logic [10:0] end_reg;
    logic [10:0] position_reg;      // of the piece's first byte
    logic [10:0] length_reg;        // bytes of the name before the piece

    // ---- aligned pieces of the message ----
    logic [6:0] block;              // of 16 bytes, the next to be read
    piece_t     here;               // the block that was read
    piece_t     before_reg;         // the block before it
    piece_t     piece_reg;

    assign parse_ready = state_reg == IDLE;
    assign head_read = state_reg == READ || state_reg == PRIME || state_reg == EXAMINE;
    always_comb begin
        block = position_reg[10:4];
        if (state_reg == PRIME) block = position_reg[10:4] + 7'd1;
        if (state_reg == EXAMINE) block = position_reg[10:4] + 7'd2;
    end
    assign head_addr = HEAD_W'(block >> $clog2(PIECES));

    if (PIECES == 1) begin : gen_whole
        assign here = head_data;
    end else begin : gen_slice
        logic [$clog2(PIECES)-1:0] lane_reg;
        always_ff @(posedge clk) if (head_read) lane_reg <= block[$clog2(PIECES)-1:0];
        assign here = head_data[8 * PIECE_BYTES * lane_reg +: 8 * PIECE_BYTES];
    end

    always_ff @(posedge clk) begin
        if (state_reg == PRIME || state_reg == SHIFT) before_reg <= here;
        if (state_reg == SHIFT) piece_reg <= piece_t'({here, before_reg} >> {position_reg[3:0], 3'b000});
    end

    // ---- where the name ends ----
    logic [10:0]            left;       // of the message
    logic [PIECE_BYTES-1:0] belongs;     // bytes of the name
    logic [PIECE_BYTES-1:0] slashes;
    logic [4:0]             count;      // of them
    logic                   nul;
    logic                   over;       // the message, or what is looked at of it
    piece_t                 clean;      // the name's bytes, the others 0

    assign left = position_reg < end_reg ? end_reg - position_reg : '0;
    assign over = left <= 11'(PIECE_BYTES);
    always_comb begin
        nul = 1'b0;
        count = '0;
        for (int unsigned i = 0; i < PIECE_BYTES; i++) begin
            if (!nul && 11'(i) < left) begin
                if (piece_reg[8*i +: 8] == '0) nul = 1'b1;
                else count = 5'(i + 1);
            end
        end
        for (int unsigned i = 0; i < PIECE_BYTES; i++) begin
            belongs[i] = 5'(i) < count;
            slashes[i] = belongs[i] && piece_reg[8*i +: 8] == SLASH;
            clean[8*i +: 8] = belongs[i] ? piece_reg[8*i +: 8] : '0;
        end
    end

    name_info_t info;
    logic [10:0] length;
    assign length = length_reg + 11'(count);
    always_comb begin
        info = names[which_reg];
        info.ends = nul;
        info.length = length > 11'd256 ? 9'd256 : length[8:0];
        info.slash = info.slash || slashes != '0;
        info.dot = length == 11'd1 && clean[7:0] == DOT;
        info.dotdot = length == 11'd2 && clean[15:0] == {DOT, DOT};
    end

    // ---- the steps ----
    logic [63:0] products_reg;
    always_ff @(posedge clk) begin
        parsed_valid <= 1'b0;
        case (state_reg)
            IDLE: if (parse_valid) begin
                names <= '0;
                two_reg <= parse_two;
                which_reg <= 1'b0;
                end_reg <= parse_end;
                position_reg <= parse_from;
                length_reg <= '0;
                state_reg <= READ;
            end
            READ: state_reg <= PRIME;
            PRIME: state_reg <= SHIFT;
            SHIFT: state_reg <= EXAMINE;
            EXAMINE: begin
                names[which_reg] <= info;
                products_reg <= hash_products(clean);
                length_reg <= length;
                position_reg <= position_reg + 11'(PIECE_BYTES);
                state_reg <= SHIFT;
                if (nul) begin
                    position_reg <= position_reg + 11'(count) + 11'd1;
                    length_reg <= '0;
                    state_reg <= two_reg && !which_reg ? READ : FOLD;
                end else if (over) begin
                    state_reg <= FOLD;
                end
                if (nul && two_reg) which_reg <= 1'b1;
            end
            default: begin
                parsed_valid <= 1'b1;
                state_reg <= IDLE;
            end
        endcase
        if (rst) state_reg <= IDLE;
    end
    assign parse_next = position_reg;

    // The products of a piece are folded a cycle after it was examined.
    logic fold_reg;
    logic fold_which_reg;
    always_ff @(posedge clk) begin
        fold_reg <= state_reg == EXAMINE && !rst;
        fold_which_reg <= which_reg;
        if (fold_reg) hashes[fold_which_reg] <= hash_step(hashes[fold_which_reg], products_reg);
        if (state_reg == IDLE && parse_valid) hashes <= '0;
    end

    // ---- the bytes: the lower and the upper half of each cell ----
    piece_t     low_half [16];
    piece_t     high_half [16];
    logic       keep;
    logic       upper;
    logic [3:0] cell_index;

    assign keep = state_reg == EXAMINE && length_reg < 11'd256;
    assign upper = length_reg[4];
    assign cell_index = {which_reg, length_reg[7:5]};
    always_ff @(posedge clk) begin
        if (keep && !upper) low_half[cell_index] <= clean;
        if (keep) high_half[cell_index] <= upper ? clean : '0;
        bytes <= {high_half[{bytes_which, bytes_index}], low_half[{bytes_which, bytes_index}]};
    end
endmodule
