// Takes one request after the other through the phases: load, names of the message, check, find, judge, lock, act,
// announce (what the DPU has changed, files that are polled), list, reply. A NOTIFY_REPLY is kept instead. What a phase
// does is its unit's business; here is only the order, and what is known of the request.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module ramfs_sequencer
    import endpoint_pkg::*, ramfs_pkg::*, ramfs_core_pkg::*, ramfs_message_pkg::*, ramfs_row_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    localparam int unsigned WORD_W = $clog2(HEAD_BYTES * 8 / DATA_W)
) (
    input  logic              clk,
    input  logic              rst,
    input  logic              ready,             // tables are set up, nothing is left of the operation before
    input  logic              pending,           // a reset waits for the operation's end
    input  epoch_t            epoch,
    input  time_t             clock,
    input  logic [31:0]       valid_seconds,     // of what a listing shows
    output logic              idle,              // no operation is on
    // The request.
    input  logic              valid,
    output logic              take,
    input  engine_request_t   request,
    output logic              loading,
    output logic [WORD_W-1:0] load_addr,
    input  logic [DATA_W-1:0] load_data,
    output in_header_t        header,
    output body_t             body,
    output row_t              row,
    output time_t             now,
    // Phases.
    output logic              parse_valid,
    input  logic              parse_ready,
    output logic              parsed,
    input  logic              parse_done,
    input  verdict_t          check,
    output logic              find,
    input  logic              find_done,
    input  errno_e            find_error,
    input  found_t            found,
    input  verdict_t          judge,
    output logic              finish,            // the session ends
    input  logic              finished,
    output logic              renew,             // and another one begins
    output logic              begin_new,
    output logic              lock,
    input  logic              lock_done,
    input  errno_e            lock_error,
    input  logic              lock_parked,       // it waits: the answer is not the sequencer's business any more
    input  logic              lock_waits,        // it waits, and is told so
    output logic              act,
    input  logic              act_done,
    input  errno_e            act_error,
    output logic              announce,          // it has done what it asked for: others may have to be told
    input  logic              announce_done,
    input  errno_e            announce_error,
    input  logic              keeps,
    output logic              keep,              // for the DPU
    input  logic              keep_done,
    output logic              list_valid,
    input  logic              list_ready,
    output list_cmd_t         list,
    output logic              listing,
    input  logic              list_done,
    output logic              reply,
    output verdict_t          verdict,
    output logic              listed,
    input  logic              reply_done
);
    localparam int unsigned FRONT_WORDS = FRONT_BYTES * 8 / DATA_W;

    typedef enum logic [3:0] {
        IDLE, LOAD, PARSE, CHECK, KEEP, FIND, JUDGE, SESSION, LOCK, ACT, ANNOUNCE, LIST, REPLY
    } state_e;
    state_e                       state_reg;
    logic [WORD_W-1:0]            word_reg;
    logic [FRONT_BYTES*8-1:0]     front_reg;
    logic                         wait_reg;      // the phase's unit was started
    logic                         parses;
    logic                         dpu;           // it is the DPU that asks

    assign header = front_reg[319:0];
    assign body = front_reg[FRONT_BYTES*8-1:320];
    assign dpu = is_of_dpu(request);
    assign row = dpu ? row_of_dpu(header.opcode) : row_of(header.opcode);

    epoch_t age;
    logic   old;
    assign age = epoch - epoch_t'(request.epoch);
    assign old = age != 0 && !age[3] && !dpu;

    assign idle = state_reg == IDLE;
    assign take = reply_done || (idle && valid && ready && old) || (lock_done && lock_parked);
    assign loading = state_reg == LOAD || idle;
    assign load_addr = word_reg;
    // The first name begins behind the structure; there must be something.
    assign parses = row.names != NAMES_NONE && request.head_bytes > 16'(row.bytes);
    assign parse_valid = state_reg == PARSE && !wait_reg && parses;
    assign find = state_reg == FIND && !wait_reg;
    assign lock = state_reg == LOCK && !wait_reg;
    assign act = state_reg == ACT && !wait_reg;
    assign announce = state_reg == ANNOUNCE && !wait_reg;
    assign keep = state_reg == KEEP && !wait_reg;
    assign reply = state_reg == REPLY && !wait_reg;
    assign finish = state_reg == SESSION && !wait_reg;
    assign list_valid = state_reg == LIST && !wait_reg;
    assign listing = state_reg == LIST && wait_reg;

    init_in_t     init;
    transfer_in_t transfer;
    logic         new_session;
    assign init = init_in_t'(body);
    assign transfer = transfer_in_t'(body);
    assign new_session = row.act == ACT_INIT && init.major == FUSE_MAJOR;
    assign renew = state_reg == SESSION && new_session;
    assign begin_new = renew && finished;

    always_comb begin
        list = '0;
        list.plus = header.opcode == OP_READDIRPLUS;
        list.look = list.plus && !dpu;
        list.valid_seconds = valid_seconds;
        list.directory = found.a.slot;
        list.cookie = transfer.offset;
        list.budget = transfer.size < LISTING_BYTES ? transfer.size[12:0] : 13'(LISTING_BYTES);
        list.directory_id = identity(found.a);
        list.parent_id = identity(found.c);
    end

    always_ff @(posedge clk) begin
        case (state_reg)
            IDLE: begin
                // Word 0 is being read.
                wait_reg <= 1'b0;
                parsed <= 1'b0;
                listed <= 1'b0;
                verdict <= '0;
                now <= clock;
                if (valid && ready && !pending && (age == 0 || dpu)) begin
                    word_reg <= WORD_W'(1);
                    state_reg <= LOAD;
                end
            end
            LOAD: begin
                // Word after word comes in from above.
                front_reg <= {load_data, front_reg[FRONT_BYTES*8-1:DATA_W]};
                word_reg <= word_reg + 1'b1;
                if (word_reg == WORD_W'(FRONT_WORDS)) state_reg <= PARSE;
            end
            PARSE: begin
                if (!parses || parse_done) begin
                    parsed <= parse_done;
                    wait_reg <= 1'b0;
                    state_reg <= CHECK;
                end else if (parse_ready) begin
                    wait_reg <= 1'b1;
                end
            end
            CHECK: begin
                verdict <= check;
                state_reg <= keeps ? KEEP : check != '0 ? REPLY : FIND;
            end
            KEEP: begin
                wait_reg <= 1'b1;
                if (keep_done) begin
                    wait_reg <= 1'b0;
                    state_reg <= REPLY;
                end
            end
            FIND: begin
                wait_reg <= 1'b1;
                if (find_done) begin
                    wait_reg <= 1'b0;
                    verdict.error <= find_error;
                    state_reg <= find_error != OK ? REPLY : JUDGE;
                end
            end
            JUDGE: begin
                verdict <= judge;
                state_reg <= ACT;
                if (row.act == ACT_DESTROY || new_session) state_reg <= SESSION;
                if (asks_locks(row.act)) state_reg <= LOCK;
                if (row.act == ACT_LIST) state_reg <= found.a.removed ? REPLY : LIST;
                if (judge != '0) state_reg <= REPLY;
            end
            SESSION: begin
                wait_reg <= 1'b1;
                if (finished) begin
                    wait_reg <= 1'b0;
                    state_reg <= REPLY;
                end
            end
            LOCK: begin
                wait_reg <= 1'b1;
                if (lock_done) begin
                    wait_reg <= 1'b0;
                    word_reg <= '0;
                    verdict.error <= lock_error;
                    verdict.waits <= lock_waits;
                    state_reg <= lock_parked ? IDLE : lock_error != OK || lock_waits ? REPLY : ACT;
                end
            end
            ACT: begin
                wait_reg <= 1'b1;
                if (act_done) begin
                    wait_reg <= 1'b0;
                    verdict.error <= act_error;
                    state_reg <= (dpu || may_poll(row.act)) && act_error == OK ? ANNOUNCE : REPLY;
                end
            end
            ANNOUNCE: begin
                wait_reg <= 1'b1;
                if (announce_done) begin
                    wait_reg <= 1'b0;
                    verdict.error <= announce_error;
                    state_reg <= REPLY;
                end
            end
            LIST: begin
                if (list_ready) wait_reg <= 1'b1;
                if (wait_reg && list_done) begin
                    wait_reg <= 1'b0;
                    listed <= 1'b1;
                    state_reg <= REPLY;
                end
            end
            default: begin
                wait_reg <= 1'b1;
                word_reg <= '0;
                if (reply_done) state_reg <= IDLE;
            end
        endcase
        if (rst) begin
            state_reg <= IDLE;
            word_reg <= '0;
        end
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
