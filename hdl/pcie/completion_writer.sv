// Takes completions, checks each against its tag, and writes the payload by address into the tag's slot.
// Always ready: the room was reserved before the request left.
//
// A completion without a request, or one that does not continue its request (byte count, lower address, length),
// is dropped and reported. UR, CA and any other status but success end the request; poison spoils it.
module completion_writer #(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned SLOTS = 32,
    localparam int unsigned BANKS = DATA_W / 32,
    localparam int unsigned WORDS = SLOTS * dma_pkg::SLOT_BYTES / (DATA_W / 8),
    localparam int unsigned ADDR_W = $clog2(WORDS)
) (
    input  logic                         clk,
    input  logic                         rst,
    input  logic [15:0]                  requester_id,
    tlp_if.snk                           rc,

    output dma_pkg::tag_t                look_tag,
    input  dma_pkg::tag_state_t          look,
    output logic                         update_valid,
    output dma_pkg::tag_update_t         update,

    output logic [BANKS-1:0]             write,
    output logic [BANKS-1:0][ADDR_W-1:0] write_addr,
    output logic [DATA_W-1:0]            write_data,

    output logic                         unexpected,         // one-cycle pulse
    output logic [63:0]                  unexpected_info,    // DW1 and DW2 of the header
    output logic [3:0]                   completion_error    // pulses {poison, unexpected, CA, UR}
);
    import dma_pkg::*;
    import tlp_pkg::*;

    localparam int unsigned BANK_W = $clog2(BANKS);

    // ---- one beat held, all work is done on it ----
    logic              valid_reg;
    logic              first_reg;      // of its packet
    logic              last_reg;
    logic [127:0]      hdr_reg;
    logic [DATA_W-1:0] data_reg;
    logic              starts_reg;     // the next beat on rc is a packet's first

    assign rc.ready = 1'b1;
    always_ff @(posedge clk) begin
        valid_reg <= rc.valid;
        if (rc.valid) begin
            first_reg <= starts_reg;
            last_reg <= rc.last;
            if (starts_reg) hdr_reg <= rc.hdr;
            data_reg <= rc.data;
            starts_reg <= rc.last;
        end
        if (rst) begin
            valid_reg <= 1'b0;
            starts_reg <= 1'b1;
        end
    end

    // ---- the header against its tag ----
    // verilator lint_off UNUSEDSIGNAL
    completion_t cpl;
    // verilator lint_on UNUSEDSIGNAL
    assign cpl = unpack_completion(hdr_reg);
    assign look_tag = cpl.tag[4:0];

    logic        known;
    logic        refused;
    logic        fits;
    logic        accepted;
    logic [8:0]  position;        // in the slot, of the first byte returned
    logic [12:0] span;            // bytes returned, if all of them belonged to the request
    always_comb begin
        position = 9'(look.finish - look.left);
        span = {cpl.length == 0, cpl.length, 2'b0} - 13'(position[1:0]);
        known = (cpl.fmt_type == TLP_CPL || cpl.fmt_type == TLP_CPLD) && cpl.requester_id == requester_id
            && cpl.tag < 8'(SLOTS) && (look.active || look.zombie);
        refused = cpl.status != CPL_SC;
        fits = cpl.fmt_type == TLP_CPLD && cpl.byte_count == {2'b0, look.left} && cpl.lower_address == position[6:0]
            && {cpl.length == 0, cpl.length} <= {1'b0, dword_count(position[1:0], look.left)};
        accepted = known && (refused || fits);
    end

    logic         report;
    assign report = valid_reg && first_reg;
    assign unexpected = report && (!accepted || look.zombie);
    assign unexpected_info = hdr_reg[95:32];
    always_comb begin
        completion_error = '0;
        completion_error[2] = unexpected;
        if (report && !unexpected) begin
            completion_error[3] = !refused && cpl.poisoned;
            completion_error[1] = cpl.status == CPL_CA;
            completion_error[0] = refused && cpl.status != CPL_CA;
        end
    end

    // ---- what lasts from the first beat to the last ----
    typedef struct packed {
        logic        store;       // payload goes to the slot
        logic        update;      // the tag's state changes at the end
        tag_update_t change;
        logic [6:0]  dword;       // in the slot, of the beat's first dword
        logic [7:0]  dwords;      // still to come, this beat included
    } packet_t;
    packet_t start;
    packet_t packet_reg;
    packet_t packet;
    always_comb begin
        start.store = accepted && !refused && look.active;
        start.update = accepted;
        start.change.tag = cpl.tag[4:0];
        start.change.left = refused || span >= 13'(look.left) ? '0 : look.left - span[9:0];
        start.change.bad = refused || cpl.poisoned;
        start.change.late = look.zombie;
        start.dword = position[8:2];
        start.dwords = cpl.length[7:0];    // at most 128, or it is not stored
        packet = first_reg ? start : packet_reg;
    end
    always_ff @(posedge clk) begin
        if (valid_reg) begin
            packet_reg <= packet;
            packet_reg.dword <= packet.dword + 7'(BANKS);
            packet_reg.dwords <= packet.dwords > 8'(BANKS) ? packet.dwords - 8'(BANKS) : '0;
        end
    end

    assign update_valid = valid_reg && last_reg && packet.update;
    assign update = packet.change;

    // ---- the beat into the banks ----
    byte_rotate #(.DATA_W(DATA_W)) place (
        .enable(valid_reg && packet.store), .amount({packet.dword[BANK_W-1:0], 2'b0}),
        .in(data_reg), .out(write_data)
    );
    always_comb begin
        for (int unsigned b = 0; b < BANKS; b++) begin
            logic [BANK_W-1:0] lane;      // of the beat, that goes to this bank
            logic [6-BANK_W:0] word;      // of the slot
            lane = BANK_W'(b) - packet.dword[BANK_W-1:0];
            word = (7 - BANK_W)'((packet.dword + 7'(lane)) >> BANK_W);
            write[b] = valid_reg && packet.store && 8'(lane) < packet.dwords;
            write_addr[b] = ADDR_W'({packet.change.tag, word});
        end
    end
endmodule
