// What can be said about a request once everything that it names was found, in the order of docs/file-system.md.
// Behind this only pages can be lacking, or the host's memory fail.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module ramfs_judge
    import endpoint_pkg::*, ramfs_pkg::*, ramfs_core_pkg::*, ramfs_message_pkg::*, ramfs_row_pkg::*;
(
    input  engine_request_t request,
    input  in_header_t      header,
    input  body_t           body,
    input  row_t            row,
    input  found_t          found,
    input  logic            free_slot,
    input  logic [1:0]      fits,              // an entry and cells for each name
    input  pages_t          free_pages,
    output verdict_t        verdict
);
    setattr_in_t   setattr;
    create_in_t    create;
    rename_in_t    rename;
    transfer_in_t  transfer;
    fallocate_in_t fallocate;
    assign setattr = setattr_in_t'(body);
    assign create = create_in_t'(body);
    assign rename = rename_in_t'(body);
    assign transfer = transfer_in_t'(body);
    assign fallocate = fallocate_in_t'(body);

    // ---- a new inode, a new name ----

    errno_e making;
    always_comb begin
        making = OK;
        if (row.names == NAMES_NONE && found.a.removed) making = ENOENT;
        else if (!free_slot || (row.names != NAMES_NONE && !fits[0]) ||
                 (header.opcode == OP_SYMLINK && free_pages == 0)) making = ENOSPC;
    end

    errno_e creating;
    always_comb begin
        creating = OK;
        if (!found.first.found) creating = making;
        else if ((create.flags & O_EXCL) != 0) creating = EEXIST;
        else if (is_directory(found.c)) creating = EISDIR;
        else if (file_type(found.c.mode) == TYPE_LINK) creating = ELOOP;
    end

    errno_e removing;
    always_comb begin
        removing = OK;
        if (row.names == NAME_TO_UNLINK && is_directory(found.c)) removing = EISDIR;
        else if (row.names == NAME_TO_RMDIR && !is_directory(found.c)) removing = ENOTDIR;
        else if (found.filled) removing = ENOTEMPTY;
    end

    logic [31:0] flags;
    errno_e      renaming;
    assign flags = header.opcode == OP_RENAME2 ? rename.flags : '0;
    always_comb begin
        renaming = OK;
        if (flags == RENAME_NOREPLACE && found.second.found) renaming = EEXIST;
        else if (flags == RENAME_EXCHANGE && !found.second.found) renaming = ENOENT;
        else if (found.loop) renaming = EINVAL;
        else if (!found.second.found) renaming = fits[1] ? OK : ENOSPC;
        else if (flags == RENAME_EXCHANGE || found.c.slot == found.d.slot) renaming = OK;
        else if (is_directory(found.c) && !is_directory(found.d)) renaming = ENOTDIR;
        else if (!is_directory(found.c) && is_directory(found.d)) renaming = EISDIR;
        else if (found.filled) renaming = ENOTEMPTY;
    end

    // ---- data ----

    errno_e resizing;
    always_comb begin
        resizing = OK;
        if (setattr.valid[FATTR_SIZE]) begin
            if (is_directory(found.a)) resizing = EISDIR;
            else if (!is_regular(found.a)) resizing = EINVAL;
            else if (setattr.size > 64'(FILE_BYTES)) resizing = EFBIG;
        end
    end

    errno_e writing;
    always_comb begin
        writing = OK;
        if (transfer.size != request.readable - 32'(row.bytes) || transfer.size > TRANSFER_BYTES) writing = EINVAL;
        else if (65'(transfer.offset) + 65'(transfer.size) > 65'(FILE_BYTES)) writing = EFBIG;
    end

    errno_e allocating;
    always_comb begin
        allocating = OK;
        case (fallocate.mode)
            32'd0, FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE,
            FALLOC_ZERO_RANGE, FALLOC_ZERO_RANGE | FALLOC_KEEP_SIZE:
                if (fallocate.length == 0) allocating = EINVAL;
                else if (65'(fallocate.offset) + 65'(fallocate.length) > 65'(FILE_BYTES)) allocating = EFBIG;
            default: allocating = EOPNOTSUPP;
        endcase
    end

    always_comb begin
        verdict.waits = 1'b0;
        verdict.mute = row.act == ACT_READLINK && 41'(request.writable) < found.a.size + 41'd16;
        case (row.act)
            ACT_MAKE: verdict.error = making;
            ACT_CREATE: verdict.error = creating;
            ACT_REMOVE: verdict.error = removing;
            ACT_RENAME: verdict.error = renaming;
            ACT_LINK: verdict.error = fits[0] ? OK : ENOSPC;
            ACT_SETATTR: verdict.error = resizing;
            ACT_WRITE: verdict.error = writing;
            ACT_FALLOCATE: verdict.error = allocating;
            default: verdict.error = OK;
        endcase
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
