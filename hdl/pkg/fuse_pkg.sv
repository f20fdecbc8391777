// FUSE constants that the endpoint itself needs (linux/fuse.h, protocol 7.45).
package fuse_pkg;

    localparam int unsigned FUSE_IN_HEADER_BYTES = 40;
    localparam int unsigned FUSE_OUT_HEADER_BYTES = 16;

    // The opcode of FUSE_INIT; byte-swapped it announces a session of the other endianness (FS-REQ-DI2).
    localparam logic [31:0] FUSE_INIT = 32'd26;
    localparam logic [31:0] FUSE_INIT_BSWAP = 32'h1A00_0000;

    // Where the fields lie in the first 64 bits of a message: `len` first, then `opcode` or `error`.
    typedef struct packed {
        logic [31:0] opcode;
        logic [31:0] len;
    } in_header_start_t;

    typedef struct packed {
        logic [31:0] error;
        logic [31:0] len;
    } out_header_start_t;

endpackage
