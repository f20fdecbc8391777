// Goes through all pages of an open file and clears what lies in a range of bytes: pages that lie in it as a whole are
// given back where asked, of others the bytes become zeros.
module page_walk (
    input  logic              clk,
    input  logic              rst,
    input  logic              start,
    input  logic              free,         // whole pages go
    input  logic [39:0]       from,         // the first byte and the last one; these stay until `done`
    input  logic [39:0]       upto,
    output logic              done,         // one cycle
    // The file's pages.
    output logic              walk,
    output logic              next,
    output logic              drop,
    input  logic              item,
    input  logic              at_end,
    input  logic [27:0]       index,
    // The page table.
    output logic              look,
    input  logic              looked,
    // Bytes of the item's page that become zeros.
    output logic              erase,
    input  logic              erased,
    output logic [11:0]       erase_from,
    output logic [11:0]       erase_upto
);
    typedef enum logic [2:0] { IDLE, FRONT, ITEM, UNLINK, ERASE } state_e;
    state_e state_reg;
    logic   covered;
    logic   whole;

    assign erase_from = index == from[39:12] ? from[11:0] : '0;
    assign erase_upto = index == upto[39:12] ? upto[11:0] : '1;
    assign covered = index >= from[39:12] && index <= upto[39:12];
    assign whole = erase_from == '0 && erase_upto == '1;

    assign walk = state_reg == FRONT;
    assign look = state_reg == ITEM && item && covered && whole && free;
    assign erase = state_reg == ERASE;
    assign drop = state_reg == UNLINK && looked;
    assign next = drop || (erase && erased) || (state_reg == ITEM && item && !covered);
    assign done = state_reg == ITEM && at_end;

    always_ff @(posedge clk) begin
        case (state_reg)
            IDLE: if (start) state_reg <= FRONT;
            FRONT: state_reg <= ITEM;
            ITEM: begin
                if (look) state_reg <= UNLINK;
                else if (item && covered) state_reg <= ERASE;
            end
            default: if (next) state_reg <= ITEM;
        endcase
        if (done || rst) state_reg <= IDLE;
    end
endmodule
