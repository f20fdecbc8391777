// Names: finds them in a message, keeps those of directories and of extended attributes, lists directories.
//
// No command of the table begins during a listing. What the parser found stays until the next parse, and ADD and FIND
// use it.
module name_unit
    import ramfs_pkg::*, name_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned INODES = 1024,
    parameter int unsigned ENTRIES = 2 * INODES,
    parameter int unsigned CELLS = 4 * INODES,
    localparam int unsigned HEAD_W = $clog2(1024 * 8 / DATA_W)
) (
    input  logic              clk,
    input  logic              rst,
    output logic              ready,            // the tables are empty

    input  logic              parse_valid,
    output logic              parse_ready,
    input  logic [10:0]       parse_from,       // where the first name begins in the message
    input  logic              parse_two,
    input  logic [10:0]       parse_end,        // how many bytes there are, at most 1024
    output logic              parsed_valid,     // one cycle
    output name_info_t [1:0]  names,
    output logic [10:0]       parse_next,       // behind the NUL of the last name
    output logic              head_read,
    output logic [HEAD_W-1:0] head_addr,
    input  logic [DATA_W-1:0] head_data,        // one cycle after head_read

    input  logic              cmd_valid,
    output logic              cmd_ready,
    input  name_cmd_t         cmd,
    output logic              rsp_valid,        // one cycle
    output name_rsp_t         rsp,
    output logic [1:0]        fits,             // there are an entry and cells for each name

    input  logic              list_valid,
    output logic              list_ready,
    input  list_cmd_t         list,
    output logic              list_done,        // one cycle; then the listing is sent
    output logic [12:0]       list_bytes,       // of records
    input  logic              hold,
    output logic              holding,
    stream_if.src             listing,          // 16 void bytes, then the records

    output logic              node_valid,
    input  logic              node_ready,
    output logic              node_write,
    output node_slot_t        node_slot,
    output node_t             node_wdata,
    input  node_t             node_rdata,       // one cycle after an accepted read

    input  logic              read_name,        // 32 bytes of a parsed name, one cycle later; not while a command is on
    input  logic              read_which,
    input  logic [2:0]        read_index,
    output cell_bytes_t       name_bytes
);
    hash_t [1:0] hashes;
    logic        bytes_which;
    logic [2:0]  bytes_index;
    cell_bytes_t bytes;
    assign name_bytes = bytes;

    name_parser #(.DATA_W(DATA_W)) parser (
        .clk, .rst,
        .parse_valid, .parse_ready, .parse_from, .parse_two, .parse_end, .parsed_valid, .names, .hashes, .parse_next,
        .head_read, .head_addr, .head_data,
        .bytes_which(read_name ? read_which : bytes_which), .bytes_index(read_name ? read_index : bytes_index), .bytes
    );

    logic        lend;
    logic        lent;
    logic        look_list;
    list_op_e    look_op;
    node_slot_t  look_directory;
    logic        look_name;
    entry_slot_t look_entry;
    logic        look_cell;
    cell_slot_t  look_from;
    entry_slot_t look_found;
    entry_t      look_record;
    cell_bytes_t look_bytes;
    cell_slot_t  look_next;

    name_table #(.INODES(INODES), .ENTRIES(ENTRIES), .CELLS(CELLS)) table_of_names (
        .clk, .rst, .ready,
        .cmd_valid, .cmd_ready, .cmd, .rsp_valid, .rsp, .fits,
        .names, .hashes, .bytes_which, .bytes_index, .bytes,
        .lend, .lent, .look_list, .look_op, .look_directory, .look_name, .look_entry, .look_cell, .look_from,
        .look_found, .look_record, .look_bytes, .look_next
    );

    logic        begin_listing;
    logic        put;
    logic [63:0] put_data;
    logic        send;
    logic        sending;

    directory_lister #(.ENTRIES(ENTRIES)) lister (
        .clk, .rst,
        .list_valid, .list_ready, .list, .list_done, .hold, .holding,
        .lend, .lent, .look_list, .look_op, .look_directory, .look_name, .look_entry, .look_cell, .look_from,
        .look_found, .look_record, .look_bytes, .look_next,
        .node_valid, .node_ready, .node_write, .node_slot, .node_wdata, .node_rdata,
        .begin_listing, .put, .put_data, .bytes(list_bytes), .send, .sending
    );
    listing_buffer #(.DATA_W(DATA_W)) buffer (
        .clk, .rst, .begin_listing, .put, .put_data, .bytes(list_bytes), .send, .sending, .listing
    );
endmodule
