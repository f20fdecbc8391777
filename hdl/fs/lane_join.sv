// Brings the two writers of requests to their lanes: the one of the high priority lane, and the data mover's, which
// serves the request lane and now and then a long reply of the high priority one. A lane changes hands only between
// commands of a writer.
module lane_join
    import endpoint_pkg::*;
(
    input  logic       clk,
    input  logic       flush,
    input  logic       hi_active,
    input  logic       hi_cmd_valid,
    output logic       hi_cmd_ready,
    input  write_cmd_t hi_cmd,
    stream_if.snk      hi_data,
    input  logic       mover_active,
    input  lane_e      mover_lane,
    input  logic       mover_cmd_valid,
    output logic       mover_cmd_ready,
    input  write_cmd_t mover_cmd,
    stream_if.snk      mover_data,
    output logic       hi_lane_valid,
    input  logic       hi_lane_ready,
    output write_cmd_t hi_lane_cmd,
    stream_if.src      hi_lane_data,
    output logic       req_lane_valid,
    input  logic       req_lane_ready,
    output write_cmd_t req_lane_cmd,
    stream_if.src      req_lane_data
);
    logic owner_reg;     // of the high priority lane: the mover
    logic mover_hi;
    assign mover_hi = mover_active && mover_lane == LANE_HI;

    always_ff @(posedge clk) begin
        if (flush) owner_reg <= 1'b0;
        else if (owner_reg) owner_reg <= mover_hi;
        else owner_reg <= mover_hi && !hi_active;
    end

    assign hi_lane_valid = owner_reg ? mover_hi && mover_cmd_valid : hi_cmd_valid;
    assign hi_lane_cmd = owner_reg ? mover_cmd : hi_cmd;
    assign hi_cmd_ready = !owner_reg && hi_lane_ready;
    assign hi_lane_data.valid = owner_reg ? mover_hi && mover_data.valid : hi_data.valid;
    assign hi_lane_data.last = owner_reg ? mover_data.last : hi_data.last;
    assign hi_lane_data.data = owner_reg ? mover_data.data : hi_data.data;
    assign hi_lane_data.bytes = owner_reg ? mover_data.bytes : hi_data.bytes;
    assign hi_lane_data.user = '0;
    assign hi_data.ready = !owner_reg && hi_lane_data.ready;

    assign req_lane_valid = !mover_hi && mover_cmd_valid;
    assign req_lane_cmd = mover_cmd;
    assign req_lane_data.valid = !mover_hi && mover_data.valid;
    assign req_lane_data.last = mover_data.last;
    assign req_lane_data.data = mover_data.data;
    assign req_lane_data.bytes = mover_data.bytes;
    assign req_lane_data.user = '0;

    assign mover_cmd_ready = mover_hi ? owner_reg && hi_lane_ready : req_lane_ready;
    assign mover_data.ready = mover_hi ? owner_reg && hi_lane_data.ready : req_lane_data.ready;
endmodule
