// What can be said about a request from its message alone, in the order of docs/file-system.md: its form, whether a
// reply fits, and what its row says before any inode is looked at.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module ramfs_check
    import dpu_pkg::RETRIEVED_BYTES_MIN, endpoint_pkg::*, ramfs_pkg::*, ramfs_core_pkg::*, ramfs_message_pkg::*, ramfs_row_pkg::*;
(
    input  engine_request_t  request,
    input  in_header_t       header,
    input  body_t            body,
    input  row_t             row,
    input  logic             active,           // there is a session (the DPU needs none)
    input  logic             parsed,           // its names were looked for
    input  name_info_t [1:0] names,
    input  logic [10:0]      names_end,
    output logic             swapped,          // INIT of the other byte order
    output logic             keeps,            // NOTIFY_REPLY without fault: its bytes are for the DPU
    output verdict_t         verdict
);
    init_in_t     init;
    mknod_in_t    mknod;
    transfer_in_t transfer;
    assign init = init_in_t'(body);
    assign mknod = mknod_in_t'(body);
    assign transfer = transfer_in_t'(body);

    // ---- form ----

    logic        unterminated;
    logic        incomplete;
    logic        too_small;
    logic [31:0] target;               // where a symbolic link's begins
    assign target = 32'(names_end);

    assign swapped = header.opcode == OP_INIT_SWAPPED && !is_of_dpu(request);
    assign unterminated = row.names != NAMES_NONE &&
        (!parsed || !names[0].ends || (row.names == NAMES_TO_RENAME && !names[1].ends));
    assign incomplete = request.readable < 32'(row.bytes) ||
        (unterminated && request.readable <= HEAD_BYTES);
    assign too_small = row.reply == REPLY_SIZED ? 33'(request.writable) < 33'(transfer.size) + 33'd16 :
        request.writable < 32'(reply_bytes(row.reply));

    // ---- what the row says first ----

    errno_e value;
    always_comb begin
        value = OK;
        if (header.opcode == OP_INIT) begin
            if (init.major < FUSE_MAJOR || (init.major == FUSE_MAJOR && init.minor < FUSE_MINOR_OLDEST)) value = EPROTO;
        end
        if (header.opcode == OP_MKNOD) begin
            case (file_type(mknod.mode[15:0]))
                4'h0, TYPE_REGULAR, TYPE_FIFO, TYPE_CHAR, TYPE_BLOCK, TYPE_SOCKET: value = OK;
                default: value = EINVAL;
            endcase
        end
        if (header.opcode == OP_SYMLINK) begin
            if (target + 32'd1 >= request.readable) value = ENOENT;
            else if (request.readable - target > PAGE_BYTES) value = ENAMETOOLONG;
        end
    end

    assign keeps = row.act == ACT_KEEP && 32'(request.head_bytes) >= RETRIEVED_BYTES_MIN &&
        header.len == request.readable && active;

    always_comb begin
        verdict.mute = 1'b0;
        verdict.waits = 1'b0;
        verdict.error = OK;
        if (request.head_bytes < 16'd40 || request.writable < 32'd16 || row.reply == REPLY_NONE) verdict.mute = 1'b1;
        else if (swapped) verdict.error = EPROTO;
        else if (header.len != request.readable) verdict.error = EINVAL;
        else if (!active && header.opcode != OP_INIT && !is_of_dpu(request)) verdict.error = EIO;
        else if (row.act == ACT_UNKNOWN) verdict.error = ENOSYS;
        else if (incomplete) verdict.error = EINVAL;
        else if (unterminated) verdict.error = ENAMETOOLONG;
        else if (too_small) verdict.mute = 1'b1;
        else verdict.error = value;
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
