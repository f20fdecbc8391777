// What a command makes of an inode, and whether anything changes.
//
// Of a value, only those fields count that the command names.
// verilator lint_off UNUSEDSIGNAL
module node_patch
    import ramfs_pkg::*, ramfs_core_pkg::*;
(
    input  node_t     old,
    input  logic      express,
    input  node_cmd_t cmd,
    input  forget_t   forget,
    output node_t     made,
    output logic      write
);
    patch_t patch;
    node_t  value;
    logic   known;                  // FORGET of an inode that there is, and not of the root
    assign patch = cmd.patch;
    assign value = cmd.value;
    assign known = old.alive && old.generation == forget.generation && 32'(forget.slot) != ROOT_SLOT;

    always_comb begin
        made = old;
        write = 1'b1;
        if (express) begin
            made.lookups = forget.count >= 64'(old.lookups) ? '0 : old.lookups - forget.count[31:0];
            write = known;
        end else begin
            case (cmd.op)
                NODE_PATCH: begin
                    if (patch.mode) made.mode = value.mode;
                    if (patch.uid) made.uid = value.uid;
                    if (patch.gid) made.gid = value.gid;
                    if (patch.size || (patch.grow && value.size > old.size)) made.size = value.size;
                    if (patch.pages) made.pages = value.pages;
                    if (patch.parent) made.parent = value.parent;
                    if (patch.atime) made.atime = value.atime;
                    if (patch.mtime) made.mtime = value.mtime;
                    if (patch.ctime) made.ctime = value.ctime;
                    made.lookups = old.lookups + 32'(patch.look);
                    made.opens = old.opens + 32'(patch.open) - 32'(patch.close);
                    made.nlink = old.nlink + 32'(patch.links);
                end
                NODE_MAKE: begin
                    made = value;
                    made.alive = 1'b1;
                    made.generation = old.generation + 1'b1;
                end
                NODE_RELEASE: begin
                    made.lookups = '0;
                    made.opens = '0;
                    write = old.alive;
                end
                NODE_BURY: begin
                    made.alive = 1'b0;
                    write = old.alive && is_free(old);
                end
                default: write = 1'b0;
            endcase
        end
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
