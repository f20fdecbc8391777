// Writes the replies of the main path: fuse_out_header and a structure, the records of a listing behind the header, or
// the header before bytes in storage.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module ramfs_reply
    import endpoint_pkg::*, ramfs_pkg::*, ramfs_core_pkg::*, ramfs_message_pkg::*, ramfs_reply_pkg::*, ramfs_row_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned INODES = 1024,
    parameter int unsigned PAGES = 1024
) (
    input  logic            clk,
    input  logic            rst,
    input  logic            start,
    output logic            done,               // one cycle
    input  engine_request_t request,
    input  in_header_t      header,
    input  init_in_t        init,
    input  reply_e          format,
    input  verdict_t        verdict,
    input  logic            swapped,
    input  node_slot_t      slot,
    input  node_t           node,
    input  logic            missing,            // there is none: LOOKUP found no name
    input  logic [31:0]     valid_seconds,
    input  logic            keep_cache,
    input  logic            in_order,           // no locks are offered: one that waits would hold up all
    input  lock_t           lock,               // of GETLK
    input  logic [31:0]     revents,            // of POLL
    input  logic [12:0]     free_slots,
    input  pages_t          free_pages,
    input  logic [31:0]     written,
    input  logic            stored,             // the reply goes on in storage
    input  logic [31:0]     stored_address,
    input  logic [31:0]     stored_length,
    input  logic            listed,             // the reply goes on in the listing
    input  logic [12:0]     listed_bytes,
    stream_if.snk           listing,
    stream_if.src           out
);
    localparam int unsigned BEAT = DATA_W / 8;
    localparam int unsigned IMAGE_W = (160 * 8 + DATA_W - 1) / DATA_W * DATA_W;      // the longest in whole beats

    // ---- the structure ----

    init_out_t   init_out;
    statfs_out_t statfs_out;
    open_out_t   open_out;
    fuse_entry_out_t entry;
    write_out_t  write_out;
    file_lock_t  lock_out;
    logic        other_major;
    always_comb begin
        other_major = init.major != FUSE_MAJOR;
        init_out = '0;
        init_out.major = FUSE_MAJOR;
        init_out.minor = FUSE_MINOR;
        if (!other_major) begin
            init_out.minor = init.minor < FUSE_MINOR ? init.minor : FUSE_MINOR;
            init_out.max_readahead = init.max_readahead;
            init_out.flags = init.flags & (in_order ? FLAGS_GRANTED & ~FLAGS_LOCKS : FLAGS_GRANTED);
            init_out.max_background = 16'd64;
            init_out.congestion_threshold = 16'd48;
            init_out.max_write = TRANSFER_BYTES;
            init_out.time_gran = 32'd1;
            init_out.max_pages = init.flags[FLAG_MAX_PAGES] ? 16'd256 : '0;
        end
        statfs_out = '0;
        statfs_out.blocks = 64'(PAGES);
        statfs_out.bfree = 64'(free_pages);
        statfs_out.bavail = 64'(free_pages);
        statfs_out.files = 64'(INODES - 1);
        statfs_out.ffree = 64'(free_slots);
        statfs_out.bsize = PAGE_BYTES;
        statfs_out.namelen = NAME_BYTES;
        statfs_out.frsize = PAGE_BYTES;
        open_out = '0;
        open_out.fh = nodeid(slot, node);
        if (keep_cache && file_type(node.mode) == TYPE_REGULAR) open_out.open_flags = FOPEN_KEEP_CACHE;
        entry = missing ? no_entry_out(valid_seconds) : entry_out(slot, node, valid_seconds);
        write_out = '0;
        write_out.size = written;
        lock_out = '{pid: lock.pid, kind: lock.kind, finish: lock.finish, start: lock.start};
    end

    logic [1151:0] structure;
    always_comb begin
        case (format)
            REPLY_INIT: structure = 1152'(init_out);
            REPLY_ENTRY: structure = 1152'(entry);
            REPLY_ATTR: structure = 1152'(attr_out(slot, node, valid_seconds));
            REPLY_OPEN: structure = 1152'(open_out);
            REPLY_CREATE: structure = {open_out, entry};
            REPLY_STATFS: structure = 1152'(statfs_out);
            REPLY_WRITE: structure = 1152'(write_out);
            REPLY_LOCK: structure = 1152'(lock_out);
            REPLY_POLL: structure = 1152'(revents);
            default: structure = '0;
        endcase
    end

    // ---- the header ----

    logic        good;
    logic [12:0] immediate;
    out_header_t head;
    assign good = verdict == '0;
    always_comb begin
        immediate = 13'(reply_bytes(format));
        if (listed) immediate = 13'd16 + listed_bytes;
        if (!good) immediate = 13'd16;
        if (verdict.mute) immediate = '0;
        head.len = 32'(immediate) + (good && stored ? stored_length : '0);
        head.error = verdict.waits ? 32'd1 : -32'(verdict.error);
        head.unique_id = header.unique_id;
        if (swapped) begin
            head.len = swap_bytes(head.len);
            head.error = swap_bytes(head.error);
        end
    end

    // ---- the stream ----

    typedef enum logic [1:0] { IDLE, SEND, LIST } state_e;
    state_e             state_reg;
    logic [IMAGE_W-1:0] image_reg;
    logic [7:0]         left_reg;
    logic               first_reg;
    engine_reply_t      user_reg;

    logic [DATA_W-1:0] first_of_list;
    if (DATA_W == 128) begin : g_narrow
        assign first_of_list = image_reg[127:0];
    end else begin : g_wide
        assign first_of_list = {listing.data[DATA_W-1:128], image_reg[127:0]};
    end

    assign out.valid = state_reg == SEND || (state_reg == LIST && listing.valid);
    assign listing.ready = state_reg == LIST && out.ready;
    assign out.user = user_reg;
    always_comb begin
        out.data = image_reg[DATA_W-1:0];
        out.last = left_reg <= 8'(BEAT);
        out.bytes = out.last ? ($clog2(BEAT) + 1)'(left_reg) : ($clog2(BEAT) + 1)'(BEAT);
        if (state_reg == LIST) begin
            out.data = first_reg ? first_of_list : listing.data;
            out.last = listing.last;
            out.bytes = listing.bytes;
        end
    end

    logic ends;
    assign ends = out.valid && out.ready && out.last;

    always_ff @(posedge clk) begin
        done <= ends;
        case (state_reg)
            IDLE: if (start) begin
                image_reg <= IMAGE_W'({structure, head});
                left_reg <= immediate[7:0];
                first_reg <= 1'b1;
                user_reg <= '0;
                user_reg.ctx <= request.ctx;
                user_reg.epoch <= request.epoch;
                user_reg.immediate <= 32'(immediate);
                if (verdict.mute) user_reg.kind <= format == REPLY_NONE ? 8'd1 : 8'd2;
                if (good && stored) begin
                    user_reg.storage_length <= stored_length;
                    user_reg.address <= stored_address;
                end
                state_reg <= good && listed ? LIST : SEND;
            end
            default: if (out.valid && out.ready) begin
                image_reg <= image_reg >> DATA_W;
                left_reg <= left_reg - 8'(BEAT);
                first_reg <= 1'b0;
                if (out.last) state_reg <= IDLE;
            end
        endcase
        if (rst) begin
            state_reg <= IDLE;
            done <= 1'b0;
        end
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
