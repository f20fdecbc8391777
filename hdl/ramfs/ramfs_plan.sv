// What an action consists of: commands for pages, names and inodes, each kind in numbered steps of which a request
// uses those that are `valid`. This is where the opcodes differ; the actor only goes through the steps.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module ramfs_plan
    import endpoint_pkg::*, ramfs_pkg::*, ramfs_core_pkg::*, ramfs_message_pkg::*, ramfs_row_pkg::*;
(
    input  engine_request_t request,
    input  in_header_t      header,
    input  body_t           body,
    input  row_t            row,
    input  found_t          found,
    input  logic [10:0]     names_end,         // where a symbolic link's target begins
    input  time_t           now,
    input  node_slot_t      fresh,             // the slot of a new inode
    input  window_t         window,
    input  logic            paged,             // `pages` counts
    input  pages_t          pages,             // of the file, as the page unit said
    input  logic            failed,            // the data could not be read
    input  logic [1:0]      step,
    output logic            page_valid,
    output page_cmd_t       page,
    output logic            job_valid,         // data of the host, into what page step 0 reserved
    output logic [31:0]     job_offset,
    output logic            name_valid,
    output name_cmd_t       name,
    output logic            node_valid,
    output node_cmd_t       node,
    output node_slot_t      subject,           // the inode that the reply tells of
    output logic            mapped,            // bytes in the window are the reply
    output logic [31:0]     length             // of data
);
    setattr_in_t   setattr;
    create_in_t    create;
    rename_in_t    rename;
    transfer_in_t  transfer;
    fallocate_in_t fallocate;
    mknod_in_t     mknod;
    assign setattr = setattr_in_t'(body);
    assign create = create_in_t'(body);
    assign rename = rename_in_t'(body);
    assign transfer = transfer_in_t'(body);
    assign fallocate = fallocate_in_t'(body);
    assign mknod = mknod_in_t'(body);

    // ---- cases ----

    logic   makes;
    logic   makes_name;
    logic   makes_directory;
    logic   makes_link;
    logic   exchange;
    logic   counts;                            // lookups and opens
    logic   nothing;                           // old and new name lead to the same inode
    fact_t  file;                              // whose data it is
    assign makes = row.act == ACT_MAKE || (row.act == ACT_CREATE && !found.first.found);
    assign makes_name = makes && row.names != NAMES_NONE;
    assign makes_directory = header.opcode == OP_MKDIR;
    assign makes_link = header.opcode == OP_SYMLINK;
    assign counts = !is_of_dpu(request);
    assign exchange = header.opcode == OP_RENAME2 && rename.flags == RENAME_EXCHANGE;
    assign nothing = found.second.found && found.c.slot == found.d.slot;
    assign file = row.act == ACT_CREATE ? found.c : found.a;

    logic      resizes;
    position_t new_size;
    assign resizes = row.act == ACT_SETATTR ? setattr.valid[FATTR_SIZE] :
        (row.act == ACT_OPEN || (row.act == ACT_CREATE && found.first.found)) && is_regular(file) &&
        (create.flags & O_TRUNC) != 0 && (create.flags & O_ACCMODE) != 0;
    assign new_size = row.act == ACT_SETATTR ? setattr.size[40:0] : '0;

    // ---- data ----

    position_t from;
    position_t left;                           // bytes of the file from there on
    assign from = transfer.offset[40:0];
    assign left = transfer.offset < 64'(file.size) ? file.size - from : '0;
    always_comb begin
        length = transfer.size;
        if (row.act == ACT_READ) begin
            if (length > TRANSFER_BYTES) length = TRANSFER_BYTES;
            if (41'(length) > left) length = left[31:0];
        end
        if (row.act == ACT_READLINK) length = file.size[31:0];
        if (makes_link) length = request.readable - 32'd1 - 32'(names_end);
    end
    assign mapped = (row.act == ACT_READ && length != 0) || row.act == ACT_READLINK;
    assign job_valid = (row.act == ACT_WRITE && length != 0) || makes_link;
    assign job_offset = makes_link ? 32'(names_end) : 32'(row.bytes);

    always_comb begin
        page = '0;
        page.window = window;
        page.node = makes_link ? fresh : file.slot;
        page.op = mapped ? PAGES_MAP : PAGES_RESERVE;
        page.from = makes_link || row.act == ACT_READLINK ? '0 : from;
        page.to = page.from + 41'(length);
        page_valid = step == 2'd0 && (mapped || job_valid);
        if (row.act == ACT_FALLOCATE) begin
            page.op = (fallocate.mode & FALLOC_PUNCH_HOLE) != 0 ? PAGES_PUNCH : PAGES_ALLOCATE;
            page.from = fallocate.offset[40:0];
            page.to = page.from + fallocate.length[40:0];
            page_valid = step == 2'd0;
            if (step == 2'd1) begin
                page.op = PAGES_ERASE;
                page_valid = (fallocate.mode & FALLOC_ZERO_RANGE) != 0;
            end
        end
        if (resizes) begin
            page.op = PAGES_CUT;
            page.from = new_size;
            page_valid = step == 2'd0;
        end
        if (step == 2'd2 && failed) begin
            // What came in before the data ended must not show when the file grows.
            page.op = makes_link ? PAGES_DROP : PAGES_ERASE;
            if (page.from < file.size) page.from = file.size;
            page_valid = makes_link || page.to > file.size;
        end
    end

    // ---- names ----

    always_comb begin
        name = '0;
        name.kind = KIND_DIRECTORY;
        name.op = NAME_ADD;
        name.parent = found.a.slot;
        name.child = row.act == ACT_LINK ? found.b.slot : fresh;
        name.entry = found.first.entry;
        name_valid = step == 2'd0 && (makes_name || row.act == ACT_LINK);
        if (row.act == ACT_REMOVE) begin
            name.op = NAME_REMOVE;
            name_valid = step == 2'd0;
        end
        if (row.act == ACT_RENAME) begin
            name_valid = !step[1] && !nothing;
            if (step == 2'd0) begin
                // The new name first: its entry must not be the one that the old name leaves.
                name.op = found.second.found ? NAME_REPOINT : NAME_ADD;
                name.which = 1'b1;
                name.parent = found.b.slot;
                name.child = found.c.slot;
                name.entry = found.second.entry;
            end else begin
                name.op = exchange ? NAME_REPOINT : NAME_REMOVE;
                name.child = found.d.slot;
            end
        end
        if (failed) name_valid = 1'b0;
    end

    // ---- inodes: the directory, the other directory, what the new name led to, the subject ----

    logic              c_directory;
    logic              d_directory;
    logic signed [2:0] c_links;
    logic signed [2:0] d_links;
    assign c_directory = is_directory(found.c);
    assign d_directory = found.second.found && is_directory(found.d);
    assign c_links = {2'b0, c_directory};
    assign d_links = {2'b0, d_directory};

    always_comb begin
        subject = found.a.slot;
        case (row.act)
            ACT_MAKE: subject = fresh;
            ACT_CREATE: subject = makes ? fresh : found.c.slot;
            ACT_LOOKUP, ACT_REMOVE, ACT_RENAME: subject = found.c.slot;
            ACT_LINK: subject = found.b.slot;
            default: subject = found.a.slot;
        endcase
    end

    always_comb begin
        node = '0;
        node.op = NODE_PATCH;
        node.value.atime = now;
        node.value.mtime = now;
        node.value.ctime = now;
        node.value.pages = pages;
        case (step)
            2'd0: begin
                node.slot = found.a.slot;
                node.patch.mtime = 1'b1;
                node.patch.ctime = 1'b1;
                if (makes_name) node.patch.links = {2'b0, makes_directory};
                if (row.act == ACT_REMOVE) node.patch.links = -c_links;
                if (row.act == ACT_RENAME) node.patch.links = (exchange ? d_links : 3'sd0) - c_links;
                node_valid = makes_name || row.act == ACT_REMOVE || row.act == ACT_LINK ||
                    (row.act == ACT_RENAME && !nothing);
            end
            2'd1: begin
                node.slot = found.b.slot;
                node.patch.mtime = 1'b1;
                node.patch.ctime = 1'b1;
                node.patch.links = c_links - d_links;
                node_valid = row.act == ACT_RENAME && !nothing;
            end
            2'd2: begin
                node.slot = found.d.slot;
                node.patch.ctime = 1'b1;
                if (exchange) begin
                    node.patch.parent = d_directory;
                    node.value.parent = found.a.slot;
                end else begin
                    node.patch.links = d_directory ? -3'sd2 : -3'sd1;
                end
                node_valid = row.act == ACT_RENAME && found.second.found && !nothing;
            end
            default: begin
                node.slot = subject;
                node_valid = 1'b1;
                node.patch.pages = paged;
                case (row.act)
                    ACT_LOOKUP: begin
                        node.patch.look = counts;
                        node_valid = found.first.found;
                    end
                    ACT_SETATTR: begin
                        node.patch.mode = setattr.valid[FATTR_MODE];
                        node.value.mode = {file.mode[15:12], setattr.mode[11:0]};
                        node.patch.uid = setattr.valid[FATTR_UID];
                        node.value.uid = setattr.uid;
                        node.patch.gid = setattr.valid[FATTR_GID];
                        node.value.gid = setattr.gid;
                        node.patch.atime = setattr.valid[FATTR_ATIME] || setattr.valid[FATTR_ATIME_NOW];
                        if (!setattr.valid[FATTR_ATIME_NOW]) node.value.atime = {setattr.atime, setattr.atimensec};
                        node.patch.mtime = resizes || setattr.valid[FATTR_MTIME] || setattr.valid[FATTR_MTIME_NOW];
                        if (setattr.valid[FATTR_MTIME] && !setattr.valid[FATTR_MTIME_NOW])
                            node.value.mtime = {setattr.mtime, setattr.mtimensec};
                        node.patch.ctime = 1'b1;
                        if (setattr.valid[FATTR_CTIME]) node.value.ctime = {setattr.ctime, setattr.ctimensec};
                    end
                    ACT_MAKE: node.op = NODE_MAKE;
                    ACT_CREATE: begin
                        if (makes) node.op = NODE_MAKE;
                        node.patch.look = counts;
                        node.patch.open = counts;
                    end
                    ACT_REMOVE: begin
                        node.patch.links = c_directory ? -3'sd2 : -3'sd1;
                        node.patch.ctime = 1'b1;
                    end
                    ACT_RENAME: begin
                        node.patch.ctime = 1'b1;
                        node.patch.parent = c_directory;
                        node.value.parent = found.b.slot;
                        node_valid = !nothing;
                    end
                    ACT_LINK: begin
                        node.patch.links = 3'sd1;
                        node.patch.look = counts;
                        node.patch.ctime = 1'b1;
                    end
                    ACT_OPEN: node.patch.open = counts;
                    ACT_CLOSE: node.patch.close = 1'b1;
                    ACT_WRITE, ACT_FALLOCATE: begin
                        node.patch.mtime = !failed;
                        node.patch.ctime = !failed;
                        node.patch.grow = !failed && length != 0;
                        node.value.size = page.from + 41'(length);
                        if (row.act == ACT_FALLOCATE) begin
                            node.patch.grow = (fallocate.mode & FALLOC_KEEP_SIZE) == 0;
                            node.value.size = page.to;
                        end
                    end
                    default: node_valid = 1'b0;
                endcase
                if (resizes) begin
                    node.patch.size = 1'b1;
                    node.value.size = new_size;
                    node.patch.mtime = 1'b1;
                    node.patch.ctime = 1'b1;
                end
            end
        endcase
        if (node.op == NODE_MAKE) begin
            node.value.mode = {TYPE_REGULAR, create.mode[11:0]};
            node.value.nlink = 32'd1;
            node.value.uid = header.uid;
            node.value.gid = (found.a.mode & MODE_SETGID) != 0 ? found.a.gid : header.gid;
            node.value.lookups = 32'(counts);
            node.value.parent = found.a.slot;
            case (header.opcode)
                OP_MKDIR: begin
                    node.value.mode = {TYPE_DIRECTORY, mknod.mode[11:0]} | (found.a.mode & MODE_SETGID);
                    node.value.nlink = 32'd2;
                end
                OP_MKNOD: begin
                    node.value.mode = mknod.mode[15:0] | (file_type(mknod.mode[15:0]) == 0 ? {TYPE_REGULAR, 12'b0} : '0);
                    node.value.rdev = mknod.rdev;
                end
                OP_SYMLINK: begin
                    node.value.mode = {TYPE_LINK, 12'o777};
                    node.value.size = 41'(length);
                end
                default: begin
                    node.value.opens = 32'(counts);
                    if (header.opcode == OP_TMPFILE) node.value.nlink = '0;
                end
            endcase
        end
        if (failed && (row.act != ACT_WRITE || step != 2'd3)) node_valid = 1'b0;
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
