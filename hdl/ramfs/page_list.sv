// The pages of each inode: how many they are, and a list of them in no particular order. One inode is open at a time;
// what changes is kept when it is closed. A walk goes through the list from its front, an item a cycle, and may take
// items out.
module page_list
    import ramfs_pkg::*;
#(
    parameter int unsigned INODES = 1024,
    parameter int unsigned PAGES = 1024,
    localparam int unsigned NODE_W = $clog2(INODES),
    localparam int unsigned PAGE_W = $clog2(PAGES)
) (
    input  logic              clk,
    input  logic              rst,
    output logic              ready,        // every inode has none
    input  logic              open,         // `count` is right two cycles later
    input  logic [NODE_W-1:0] node,
    input  logic              close,
    output pages_t            count,
    input  logic              push,         // `new_page`, page `new_index` of the file
    input  logic [PAGE_W-1:0] new_page,
    input  logic [27:0]       new_index,
    input  logic              walk,         // from the front
    input  logic              next,         // the item is done with
    input  logic              drop,         // with `next`: it leaves the list
    output logic              item,         // `page` and `index` stand here
    output logic              at_end,
    output logic [PAGE_W-1:0] page,
    output logic [27:0]       index
);
    typedef struct packed {
        logic              some;
        logic [PAGE_W-1:0] page;
    } pointer_t;

    typedef struct packed {
        logic [27:0] index;
        pointer_t    next;
    } link_t;

    typedef struct packed {
        logic [PAGE_W:0] count;
        pointer_t        front;
    } owner_t;

    logic [NODE_W-1:0] init_reg;
    logic              opening_reg;
    logic [NODE_W-1:0] node_reg;
    owner_t            owner_reg;
    pointer_t          at_reg;              // the item
    pointer_t          before_reg;          // the one before it, and its index
    logic [27:0]       before_index_reg;

    logic              owner_write;
    owner_t            owner;
    link_t             link;
    pointer_t          target;
    logic              go;

    (* no_rw_check *) logic [$bits(owner_t)-1:0] owners[INODES];
    (* no_rw_check *) logic [$bits(link_t)-1:0]  links[PAGES];

    assign owner_write = !ready || close;
    always_ff @(posedge clk) begin
        if (owner_write) owners[ready ? node_reg : init_reg] <= ready ? owner_reg : '0;
        if (open) owner <= owners[node];
    end

    logic              link_write;
    logic [PAGE_W-1:0] link_addr;
    link_t             link_new;
    assign link_write = push || (next && drop && before_reg.some);
    assign link_addr = push ? new_page : before_reg.page;
    assign link_new.index = push ? new_index : before_index_reg;
    assign link_new.next = push ? owner_reg.front : link.next;
    always_ff @(posedge clk) begin
        if (link_write) links[link_addr] <= link_new;
        if (go) link <= links[target.page];
    end

    assign count = pages_t'(owner_reg.count);
    assign item = at_reg.some;
    assign at_end = !at_reg.some;
    assign page = at_reg.page;
    assign index = link.index;
    assign target = walk ? owner_reg.front : link.next;
    assign go = walk || next;

    always_ff @(posedge clk) begin
        opening_reg <= open;
        if (open) node_reg <= node;
        if (opening_reg) owner_reg <= owner;
        if (push) begin
            owner_reg.front <= '{some: 1'b1, page: new_page};
            owner_reg.count <= owner_reg.count + 1'b1;
        end
        if (go) at_reg <= target;
        if (walk) before_reg <= '0;
        if (next && drop) begin
            owner_reg.count <= owner_reg.count - 1'b1;
            if (!before_reg.some) owner_reg.front <= link.next;
        end else if (next) begin
            before_reg <= at_reg;
            before_index_reg <= link.index;
        end
        if (!ready) begin
            init_reg <= init_reg + 1'b1;
            ready <= &init_reg;
        end
        if (rst) begin
            ready <= 1'b0;
            init_reg <= '0;
            opening_reg <= 1'b0;
        end
    end

    if (INODES != 2 ** NODE_W || INODES < 16 || INODES > 4096) begin : gen_check
        $fatal(1, "page_list: INODES %0d is no power of two from 16 to 4096", INODES);
    end
endmodule
