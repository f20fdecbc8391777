// Finds the page that holds (inode, page index in its file): hash buckets, each the head of a chain through the pages
// that lie in it. A look takes two cycles, and one more for each page of the chain that it passes.
module page_table #(
    parameter int unsigned NODE_W = 10,
    parameter int unsigned PAGES = 1024,
    localparam int unsigned PAGE_W = $clog2(PAGES)
) (
    input  logic              clk,
    input  logic              rst,
    output logic              ready,        // the buckets are empty
    input  logic              look,         // one cycle; the next one not before `looked`
    input  logic              unlink,       // with `look`: what is found leaves the table
    input  logic [NODE_W-1:0] node,
    input  logic [27:0]       index,
    output logic              looked,       // one cycle
    output logic              found,        // with `looked`
    output logic [PAGE_W-1:0] page,
    input  logic              insert,       // behind a look that found nothing: `new_page` is what it looked for
    input  logic [PAGE_W-1:0] new_page
);
    localparam int unsigned BUCKET_W = PAGE_W + 1;

    typedef struct packed {
        logic              some;
        logic [PAGE_W-1:0] page;
    } link_t;

    typedef struct packed {
        logic [NODE_W-1:0] node;
        logic [27:0]       index;
        link_t             next;
    } key_t;

    // Inodes count from the top bit down: the first pages of many small files lie in different buckets.
    function automatic logic [BUCKET_W-1:0] bucket_of(input logic [NODE_W-1:0] of_node, input logic [27:0] of_index);
        bucket_of = '0;
        for (int unsigned i = 0; i < 28; i++) bucket_of[i % BUCKET_W] ^= of_index[i];
        for (int unsigned i = 0; i < NODE_W; i++) bucket_of[BUCKET_W - 1 - i % BUCKET_W] ^= of_node[i];
    endfunction

    typedef enum logic [1:0] { INIT, IDLE, HEAD, CHAIN } state_e;
    state_e              state_reg;
    logic [BUCKET_W-1:0] bucket_reg;
    logic [NODE_W-1:0]   node_reg;
    logic [27:0]         index_reg;
    logic                unlink_reg;
    link_t               first_reg;         // of the bucket
    logic [PAGE_W-1:0]   at_reg;            // the page whose key is read
    logic                behind_reg;        // it is not the first of its chain: `before_reg` is before it
    logic [PAGE_W-1:0]   before_reg;
    key_t                before_key_reg;

    logic                head_write;
    logic [BUCKET_W-1:0] head_addr;
    link_t               head_new;
    link_t               head;
    logic                key_read;
    logic                key_write;
    logic [PAGE_W-1:0]   key_addr;          // to write
    logic [PAGE_W-1:0]   next;              // to read
    key_t                key_new;
    key_t                key;
    logic                match;

    (* no_rw_check *) logic [$bits(link_t)-1:0] heads[2 * PAGES];
    (* no_rw_check *) logic [$bits(key_t)-1:0]  keys[PAGES];

    always_ff @(posedge clk) begin
        if (head_write) heads[head_addr] <= head_new;
        if (look) head <= heads[bucket_of(node, index)];
    end

    always_ff @(posedge clk) begin
        if (key_write) keys[key_addr] <= key_new;
        if (key_read) key <= keys[next];
    end

    assign ready = state_reg != INIT;
    assign match = key.node == node_reg && key.index == index_reg;
    assign looked = (state_reg == HEAD && !head.some) || (state_reg == CHAIN && (match || !key.next.some));
    assign found = state_reg == CHAIN && match;
    assign page = at_reg;

    always_comb begin
        next = state_reg == HEAD ? head.page : key.next.page;
        key_read = (state_reg == HEAD || state_reg == CHAIN) && !looked;

        head_write = state_reg == INIT || insert || (found && unlink_reg && !behind_reg);
        head_addr = bucket_reg;
        head_new = '0;
        if (insert) head_new = '{some: 1'b1, page: new_page};
        else if (state_reg == CHAIN) head_new = key.next;

        key_write = insert || (found && unlink_reg && behind_reg);
        key_addr = new_page;
        key_new = '{node: node_reg, index: index_reg, next: first_reg};
        if (!insert) begin
            key_addr = before_reg;
            key_new = before_key_reg;
            key_new.next = key.next;
        end
    end

    always_ff @(posedge clk) begin
        case (state_reg)
            INIT: begin
                bucket_reg <= bucket_reg + 1'b1;
                if (&bucket_reg) state_reg <= IDLE;
            end
            IDLE: if (look) begin
                bucket_reg <= bucket_of(node, index);
                node_reg <= node;
                index_reg <= index;
                unlink_reg <= unlink;
                state_reg <= HEAD;
            end
            HEAD: begin
                first_reg <= head;
                at_reg <= head.page;
                behind_reg <= 1'b0;
                state_reg <= head.some ? CHAIN : IDLE;
            end
            default: begin
                before_reg <= at_reg;
                before_key_reg <= key;
                behind_reg <= 1'b1;
                at_reg <= key.next.page;
                if (looked) state_reg <= IDLE;
            end
        endcase
        if (rst) begin
            state_reg <= INIT;
            bucket_reg <= '0;
        end
    end

    if (PAGES != 2 ** PAGE_W || PAGES < 16 || PAGES > 4096) begin : gen_check
        $fatal(1, "page_table: PAGES %0d is no power of two from 16 to 4096", PAGES);
    end
endmodule
