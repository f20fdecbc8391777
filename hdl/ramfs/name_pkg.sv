// What the parts of name_unit share: the record of a name, the commands of its tables, the hash.
package name_pkg;
    import ramfs_pkg::*;

    typedef logic [13:0] cell_slot_t;       // 0: none
    typedef logic [31:0] hash_t;

    localparam int unsigned PIECE_BYTES = 16;   // a name is parsed and hashed in pieces
    localparam int unsigned CELL_BYTES = 32;    // and kept in cells of two
    typedef logic [8*PIECE_BYTES-1:0] piece_t;
    typedef logic [8*CELL_BYTES-1:0]  cell_bytes_t;     // what is behind the name's end is zero

    // A name that exists. Its bytes are in linked cells.
    typedef struct packed {
        name_kind_e  kind;
        node_slot_t  parent;
        node_slot_t  child;
        hash_t       hash;                  // of the bytes alone
        logic [7:0]  length;
        cell_slot_t  first;
        logic [31:0] sequence_number;       // 0: a free slot
    } entry_t;

    // Cells that a name of so many bytes takes, 1 to 8.
    function automatic logic [3:0] cell_count(input logic [7:0] length);
        return 4'((9'(length) + 9'd31) >> 5);
    endfunction

    // Commands of name_chains, name_lists, name_cells.
    typedef enum logic [1:0] {
        CHAIN_FIRST,                        // -> the bucket's first entry
        CHAIN_NEXT,                         // -> the entry's successor
        CHAIN_INSERT,                       // entry becomes the bucket's first
        CHAIN_CUT                           // entry leaves the bucket
    } chain_op_e;

    typedef enum logic [1:0] {
        LIST_FIRST,
        LIST_NEXT,
        LIST_APPEND,
        LIST_CUT
    } list_op_e;

    typedef enum logic [1:0] {
        CELLS_READ,                         // -> the bytes of a cell, and the next one
        CELLS_STORE,                        // a parsed name goes into cells -> the first
        CELLS_COMPARE,                      // -> whether cells hold the parsed name
        CELLS_FREE
    } cells_op_e;

    // ---- hash ----

    // Of a piece: two products of words that a constant has stirred (digits of pi), folded. A long name's pieces are
    // turned against each other and added up.
    function automatic logic [63:0] hash_products(input piece_t piece);
        return 64'(piece[31:0] ^ 32'h243F_6A88) * 64'(piece[63:32] ^ 32'h85A3_08D3)
            + 64'(piece[95:64] ^ 32'h1319_8A2E) * 64'(piece[127:96] ^ 32'h0370_7344);
    endfunction

    function automatic hash_t hash_step(input hash_t hash, input logic [63:0] products);
        return {hash[26:0], hash[31:27]} ^ products[63:32] ^ products[31:0];
    endfunction

    // With the directory: what buckets are counted by. The upper half of a product is its best part.
    function automatic hash_t bucket_hash(input hash_t hash, input name_kind_e kind, input node_slot_t parent);
        hash_t stirred;
        stirred = hash ^ 32'({kind, parent}) * 32'h9E37_79B1;
        return stirred ^ {16'b0, stirred[31:16]};
    endfunction

endpackage
