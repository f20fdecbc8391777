// Files that are polled (docs/notifications.md): whoever is to be told when the DPU changes one, in the order in which
// they asked. A request goes through it once it has done what it asked for: POLL puts one down, RELEASE takes those of
// the inode out, a change by the DPU tells them.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module ramfs_polls
    import endpoint_pkg::*, notify_pkg::*, ramfs_pkg::*, ramfs_core_pkg::*, ramfs_message_pkg::*, ramfs_row_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned POLLS = 8
) (
    input  logic       clk,
    input  logic       rst,
    input  logic       clear,           // the session ends
    input  logic       start,
    output logic       done,            // one cycle; `error` stays until the next start
    output errno_e     error,
    input  logic       listens,         // the driver takes messages
    input  epoch_t     epoch,
    input  body_t      body,
    input  row_t       row,
    input  found_t     found,
    input  logic       changed,         // by the DPU: contents of the inode
    input  node_slot_t changed_slot,
    // Each has a place in the store.
    output logic       place_valid,
    input  logic       place_ready,
    input  logic       place_free,      // with place_ready: it is there, and kept from then on
    output logic [5:0] places,          // that are kept
    stream_if.src      notify
);
    localparam int unsigned COUNT_W = $clog2(POLLS + 1);
    localparam int unsigned INDEX_W = $clog2(POLLS);
    typedef logic [COUNT_W-1:0] count_t;
    typedef logic [INDEX_W-1:0] index_t;

    typedef struct packed {
        logic [63:0] kh;
        node_slot_t  slot;
    } polled_t;

    typedef enum logic [1:0] { IDLE, LOOK, PLACE, END } state_e;
    state_e  state_reg;
    count_t  at_reg;
    count_t  count_reg;
    polled_t table_reg [POLLS];         // the oldest first

    // ---- what the request is ----

    poll_in_t   poll;
    logic       puts;
    logic       closes;
    node_slot_t slot;
    assign poll = poll_in_t'(body[191:0]);
    assign puts = row.act == ACT_POLL && poll.flags[POLL_SCHEDULE_NOTIFY] && listens;
    assign closes = row.act == ACT_CLOSE && found.a.open_once;
    assign slot = changed ? changed_slot : found.a.slot;

    // ---- one after the other ----

    polled_t here;
    logic    hit;
    logic    tells;
    logic    told;
    logic    remove;
    logic    put;
    logic    busy;
    assign here = table_reg[index_t'(at_reg)];
    assign hit = state_reg == LOOK && at_reg != count_reg && (puts ? here.kh == poll.kh : here.slot == slot);
    assign tells = hit && changed;
    assign remove = (hit && closes) || (tells && told);
    assign put = state_reg == PLACE && place_ready && place_free;
    assign place_valid = state_reg == PLACE;

    ramfs_short_message #(.DATA_W(DATA_W)) poll_message (
        .clk, .rst, .epoch, .valid(tells), .ready(told), .code(NOTIFY_POLL), .bytes(6'(POLL_BYTES)),
        .body(128'(here.kh)), .busy, .out(notify)
    );
    assign places = 6'(count_reg) + 6'(busy);

    always_ff @(posedge clk) begin
        for (int unsigned i = 0; i < POLLS; i++) begin
            if (remove && i + 1 < POLLS && count_t'(i) >= at_reg) table_reg[i] <= table_reg[(i + 1) % POLLS];
            if (put && count_t'(i) == count_reg) table_reg[i] <= '{kh: poll.kh, slot: slot};
            if (hit && puts && count_t'(i) == at_reg) table_reg[i].slot <= slot;
        end
        count_reg <= count_reg + count_t'(put) - count_t'(remove);
        if (rst || clear) count_reg <= '0;
    end

    always_ff @(posedge clk) begin
        done <= 1'b0;
        case (state_reg)
            IDLE: begin
                at_reg <= '0;
                if (start) begin
                    error <= OK;
                    state_reg <= puts || closes || changed ? LOOK : END;
                end
            end
            LOOK: if (hit) begin
                if (puts) state_reg <= END;
            end else if (at_reg != count_reg) begin
                at_reg <= at_reg + 1'b1;
            end else begin
                state_reg <= END;
                if (puts && count_reg == count_t'(POLLS)) error <= ENOMEM;
                else if (puts) state_reg <= PLACE;
            end
            PLACE: if (place_ready) begin
                if (!place_free) error <= ENOMEM;
                state_reg <= END;
            end
            default: if (!busy) begin
                done <= 1'b1;
                state_reg <= IDLE;
            end
        endcase
        if (rst) begin
            state_reg <= IDLE;
            done <= 1'b0;
        end
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
