// Types and the division of slots inside dma_read and write_lanes.
package dma_pkg;
    import endpoint_pkg::*;

    localparam int unsigned SLOT_BYTES = 512;

    // Each read client owns a range of slots, so that none can starve another: of 32, ring 6, gather 4, bulk 20,
    // suppress 2.
    function automatic int unsigned slot_count(input int unsigned slots, input int unsigned client);
        case (client)
            32'(RD_RING): return slots * 3 / 16;
            32'(RD_GATHER): return slots / 8;
            32'(RD_SUPPRESS): return slots / 16;
            default: return slots - slots * 3 / 16 - slots / 8 - slots / 16;
        endcase
    endfunction

    function automatic logic [31:0] slot_mask(input int unsigned slots, input int unsigned client);
        int unsigned first;
        logic [31:0] mask;
        first = 0;
        for (int unsigned c = 0; c < client; c++) first += slot_count(slots, c);
        mask = '0;
        for (int unsigned i = 0; i < 32; i++) mask[i] = i >= first && i < first + slot_count(slots, client);
        return mask;
    endfunction

    typedef logic [4:0] tag_t;

    // A read that fits one slot: it lies within one aligned block of 512 bytes.
    typedef struct packed {
        logic [63:0] addr;
        logic [9:0]  bytes;
        logic        last;          // of its client's request
    } sub_read_t;

    // What the reader must know of a slot, kept in issue order.
    typedef struct packed {
        tag_t        tag;
        logic [8:0]  start;         // first byte in the slot: bits 8:0 of the address
        logic [9:0]  bytes;
        logic        last;
    } slot_order_t;

    // What a completion is checked against.
    typedef struct packed {
        logic        active;        // request on the wire, not answered yet
        logic        zombie;        // timed out, its completion may still come
        logic [9:0]  finish;        // byte in the slot just behind the request
        logic [9:0]  left;          // bytes not yet returned
    } tag_state_t;

    typedef struct packed {
        tag_t        tag;
        logic [9:0]  left;          // after this completion; 0: it was the last
        logic        bad;
        logic        late;          // the request had timed out before
    } tag_update_t;

    // Who offers memory writes: the lanes, and the one that tells drivers when to kick.
    localparam int unsigned WRITERS = LANES + 1;
    localparam int unsigned WRITER_EVENT = LANES;

    // A memory write that a writer offers.
    typedef struct packed {
        logic        immediate;     // payload is `imm`, first dword low; else it comes from the lane's data
        logic        makes_used;    // the last write of a used entry: acceptance is reported
        // verilator lint_off SYMRSVDWORD
        queue_t      queue;         // the specification's word, and C++'s too
        // verilator lint_on SYMRSVDWORD
        context_t    ctx;
        logic [15:0] slots;
        logic [63:0] addr;
        logic [9:0]  bytes;
        logic        finish;        // ends the lane's message
        logic [63:0] imm;
    } write_packet_t;

endpackage
