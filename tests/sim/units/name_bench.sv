// The name unit with what stands around it in the engine: the head of a message, the node table. Nodes and bytes are
// loaded and looked at from outside; how the node port and the listing stall is up to the harness.
module name_bench
    import ramfs_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned INODES = 1024,
    parameter int unsigned ENTRIES = 2 * INODES,
    parameter int unsigned CELLS = 4 * INODES
) (
    input  logic             clk,
    input  logic             rst,
    output logic             ready,

    input  logic             load_head,
    input  logic [5:0]       load_index,        // of 16 bytes
    input  logic [127:0]     load_bytes,
    input  logic             parse_valid,
    output logic             parse_ready,
    input  logic [10:0]      parse_from,
    input  logic             parse_two,
    input  logic [10:0]      parse_end,
    output logic             parsed_valid,
    output name_info_t [1:0] names,
    output logic [10:0]      parse_next,

    input  logic             cmd_valid,
    output logic             cmd_ready,
    input  name_op_e         cmd_op,
    input  name_kind_e       cmd_kind,
    input  logic             cmd_which,
    input  node_slot_t       cmd_parent,
    input  node_slot_t       cmd_child,
    input  entry_slot_t      cmd_entry,
    output logic             rsp_valid,
    output logic             rsp_found,
    output entry_slot_t      rsp_entry,
    output node_slot_t       rsp_child,
    output logic [1:0]       fits,

    input  logic             list_valid,
    output logic             list_ready,
    input  list_cmd_t        list,
    output logic             list_done,
    output logic [12:0]      list_bytes,
    input  logic             hold,
    output logic             holding,
    output logic             listing_valid,
    input  logic             listing_ready,
    output logic             listing_last,
    output logic [DATA_W-1:0] listing_data,
    output logic [$clog2(DATA_W/8):0] listing_bytes,

    input  logic             node_free,         // the node port takes an access
    output logic             node_used,
    input  logic             load_node,
    input  node_slot_t       load_slot,
    input  node_t            load_data,
    output node_t            look_data          // of load_slot
);
    localparam int unsigned HEAD_W = $clog2(1024 * 8 / DATA_W);

    logic [127:0]      head [64];
    logic              head_read;
    logic [HEAD_W-1:0] head_addr;
    logic [DATA_W-1:0] head_data;
    always_ff @(posedge clk) begin
        if (load_head) head[load_index] <= load_bytes;
        for (int unsigned i = 0; i < DATA_W / 128; i++) begin
            if (head_read) head_data[128 * i +: 128] <= head[32'(head_addr) * (DATA_W / 128) + i];
        end
    end

    node_t      nodes [4096];
    logic       node_write;
    node_slot_t node_slot;
    node_t      node_wdata;
    node_t      node_rdata;
    always_ff @(posedge clk) begin
        if (load_node) nodes[load_slot] <= load_data;
        if (node_used && node_write) nodes[node_slot] <= node_wdata;
        // Garbage in every other cycle.
        node_rdata <= node_used && !node_write ? nodes[node_slot] : '1;
        look_data <= nodes[load_slot];
    end

    logic node_valid;
    assign node_used = node_valid && node_free;

    stream_if #(.DATA_W(DATA_W)) listing ();
    assign listing_valid = listing.valid;
    assign listing.ready = listing_ready;
    assign listing_last = listing.last;
    assign listing_data = listing.data;
    assign listing_bytes = listing.bytes;
    logic unused;
    assign unused = &{1'b0, listing.user};

    name_rsp_t rsp;
    assign rsp_found = rsp.found;
    assign rsp_entry = rsp.entry;
    assign rsp_child = rsp.child;

    name_unit #(.DATA_W(DATA_W), .INODES(INODES), .ENTRIES(ENTRIES), .CELLS(CELLS)) unit (
        .clk, .rst, .ready,
        .parse_valid, .parse_ready, .parse_from, .parse_two, .parse_end, .parsed_valid, .names, .parse_next,
        .head_read, .head_addr, .head_data,
        .cmd_valid, .cmd_ready,
        .cmd('{op: cmd_op, kind: cmd_kind, which: cmd_which, parent: cmd_parent, child: cmd_child, entry: cmd_entry}),
        .rsp_valid, .rsp, .fits,
        .list_valid, .list_ready, .list, .list_done, .list_bytes, .hold, .holding, .listing,
        .node_valid, .node_ready(node_free), .node_write, .node_slot, .node_wdata, .node_rdata,
        .read_name(1'b0), .read_which(1'b0), .read_index('0), .name_bytes()
    );
endmodule
