// The lock table with plain ports.
module lock_bench
    import ramfs_pkg::*;
#(
    parameter int unsigned LOCKS = 64,
    parameter int unsigned WAITS = 8
) (
    input  logic         clk,
    input  logic         rst,
    input  logic         cmd_valid,
    output logic         cmd_ready,
    input  lock_op_e     op,
    input  logic [5:0]   ctx,
    input  logic [63:0]  request_id,
    input  node_slot_t   node,
    input  logic         flock,
    input  logic [63:0]  owner,
    input  logic [63:0]  start,
    input  logic [63:0]  finish,
    input  logic [31:0]  kind,
    input  logic [31:0]  pid,
    output logic         rsp_valid,
    output lock_result_e result,
    output logic [63:0]  found_start,
    output logic [63:0]  found_finish,
    output logic [31:0]  found_kind,
    output logic [31:0]  found_pid,
    input  logic         interrupt_valid,
    input  logic [63:0]  interrupt_id,
    output logic         interrupt_done,
    output logic         interrupt_found,
    output logic         wake_valid,
    input  logic         wake_ready,
    output logic [5:0]   wake_ctx,
    output logic [63:0]  wake_request_id,
    output lock_result_e wake_result,
    output logic         wake_told,
    output logic         wakes_left,
    input  logic         messages,
    output logic         told,
    input  logic         place_ready,
    input  logic         place_free,
    input  logic         may_park,
    output logic         place_valid,
    output logic [$clog2(2*WAITS+1)-1:0] places
);
    lock_rsp_t  rsp;
    lock_wake_t wake;
    assign result = rsp.result;
    assign found_start = rsp.lock.start;
    assign found_finish = rsp.lock.finish;
    assign found_kind = rsp.lock.kind;
    assign found_pid = rsp.lock.pid;
    assign wake_ctx = wake.ctx;
    assign wake_request_id = wake.request_id;
    assign wake_result = wake.result;
    assign wake_told = wake.told;

    lock_table #(.LOCKS(LOCKS), .WAITS(WAITS)) unit (
        .clk, .rst, .cmd_valid, .cmd_ready,
        .cmd('{
            op: op, ctx: ctx, of_queue: 4'(ctx[1:0]), request_id: request_id,
            lock: '{node: node, flock: flock, owner: owner, start: start, finish: finish, kind: kind, pid: pid}
        }),
        .may_park, .rsp_valid, .rsp, .interrupt_valid, .interrupt_id, .interrupt_done, .interrupt_found,
        .wake_valid, .wake_ready, .wake, .wakes_left,
        .messages, .told, .place_valid, .place_ready, .place_free, .places
    );
endmodule
