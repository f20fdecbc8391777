// Goes through the steps of an action (ramfs_plan): pages, then data of the host, then names, then inodes. Only pages
// that are lacking and data that cannot be read can stop it, and both come before anything else has changed.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module ramfs_actor
    import endpoint_pkg::*, ramfs_pkg::*, ramfs_core_pkg::*;
(
    input  logic               clk,
    input  logic               rst,
    input  logic               start,
    input  engine_request_t    request,
    output logic               done,            // one cycle; then the rest stays until the next start
    output errno_e             error,
    output window_t            window,          // of the reply's data
    // The plan.
    output logic [1:0]         step,
    output logic               paged,
    output pages_t             pages,
    output logic               failed,
    input  logic               plan_page_valid,
    input  page_cmd_t          plan_page,
    input  logic               plan_job_valid,
    input  logic [31:0]        plan_job_offset,
    input  logic [31:0]        plan_job_length,
    input  logic               plan_name_valid,
    input  logic               plan_node_valid,
    input  node_cmd_t          plan_node,
    input  node_slot_t         slot,            // the next free one
    output logic               slot_take,
    output node_slot_t         fresh,           // the slot of a new inode
    // Commands: what they are comes from the plan.
    output logic               page_valid,
    input  logic               page_ready,
    input  logic               page_done,
    input  page_rsp_t          page_rsp,
    output logic               name_valid,
    input  logic               name_ready,
    input  logic               name_done,
    output logic               node_valid,
    input  logic               node_ready,
    input  logic               node_done,
    // The data mover.
    input  logic               abandon,         // the device is reset: no job of the driver's ends any more
    output logic               job_valid,
    input  logic               job_ready,
    output mover_job_t         job,
    input  logic               done_valid,
    input  mover_done_t        job_end,
    input  logic [WINDOWS-1:0] window_busy,
    output logic [WINDOWS-1:0] window_release,
    output logic [WINDOWS-1:0] window_kept      // of the DPU: a reset does not close it
);
    typedef enum logic [3:0] {
        IDLE, PICK, PAGES, PAGES_WAIT, JOB, JOB_WAIT, NAMES, NAMES_WAIT, NODES, NODES_WAIT
    } state_e;
    state_e state_reg;

    localparam logic [1:0] UNDO = 2'd2;         // the step of pages that follows a failed job

    logic [WINDOWS-1:0] closed;
    window_t            window_next;
    assign closed = ~window_busy;
    always_comb begin
        window_next = '0;
        for (int w = int'(WINDOWS) - 1; w >= 0; w--) if (closed[w]) window_next = window_t'(w);
    end

    assign page_valid = state_reg == PAGES && plan_page_valid;
    assign name_valid = state_reg == NAMES && plan_name_valid;
    assign node_valid = state_reg == NODES && plan_node_valid;
    assign slot_take = node_valid && node_ready && plan_node.op == NODE_MAKE;

    // Data comes at once, into the window that was reserved.
    assign job_valid = state_reg == JOB && plan_job_valid;
    always_comb begin
        job = '0;
        job.ctx = request.ctx;
        job.epoch = request.epoch;
        job.offset = plan_job_offset;
        job.length = plan_job_length;
        job.address = 32'({window, 9'b0, plan_page.from[11:0]});
    end

    logic job_done;
    logic job_good;
    logic job_over;
    assign job_done = done_valid && job_end.ctx == request.ctx && job_end.epoch == request.epoch;
    assign job_good = job_done && job_end.result == 8'(pipeline_pkg::JOB_OK);
    assign job_over = state_reg == JOB_WAIT && (job_done || (abandon && !is_of_dpu(request)));
    always_comb begin
        window_release = '0;
        window_release[window] = job_over || (state_reg == PAGES_WAIT && page_done && page_rsp.no_space);
    end

    always_ff @(posedge clk) begin
        if (state_reg == IDLE) window_kept <= window_kept & window_busy;
        else if (page_valid && page_ready) window_kept[window] <= is_of_dpu(request);
        if (rst) window_kept <= '0;
    end

    always_ff @(posedge clk) begin
        done <= 1'b0;
        case (state_reg)
            IDLE: if (start) begin
                step <= '0;
                paged <= 1'b0;
                pages <= '0;
                failed <= 1'b0;
                error <= OK;
                fresh <= slot;
                state_reg <= PICK;
            end
            PICK: begin
                window <= window_next;
                if (!plan_page_valid || closed != 0) state_reg <= PAGES;
            end
            PAGES: if (plan_page_valid) begin
                if (page_ready) state_reg <= PAGES_WAIT;
            end else begin
                step <= step + 1'b1;
                if (step == 2'd1) state_reg <= JOB;
                if (step == UNDO) begin
                    step <= '0;
                    state_reg <= NAMES;
                end
            end
            PAGES_WAIT: if (page_done) begin
                step <= step + 1'b1;
                state_reg <= step == 2'd1 ? JOB : PAGES;
                if (plan_page.op != PAGES_MAP) begin
                    paged <= 1'b1;
                    pages <= page_rsp.pages;
                end
                if (page_rsp.no_space) begin
                    error <= ENOSPC;
                    done <= 1'b1;
                    state_reg <= IDLE;
                end else if (step == UNDO) begin
                    step <= '0;
                    state_reg <= NAMES;
                end
            end
            JOB: if (!plan_job_valid) state_reg <= PAGES;
                else if (job_ready) state_reg <= JOB_WAIT;
            JOB_WAIT: if (job_over) begin
                failed <= !job_good;
                if (!job_good) error <= EIO;
                state_reg <= PAGES;
            end
            NAMES: if (plan_name_valid) begin
                if (name_ready) state_reg <= NAMES_WAIT;
            end else begin
                step <= step[0] ? '0 : 2'd1;
                if (step[0]) state_reg <= NODES;
            end
            NAMES_WAIT: if (name_done) begin
                step <= step[0] ? '0 : 2'd1;
                state_reg <= step[0] ? NODES : NAMES;
            end
            NODES: if (plan_node_valid) begin
                if (node_ready) state_reg <= NODES_WAIT;
            end else begin
                step <= step + 1'b1;
                if (step == 2'd3) begin
                    done <= 1'b1;
                    state_reg <= IDLE;
                end
            end
            default: if (node_done) begin
                step <= step + 1'b1;
                state_reg <= step == 2'd3 ? IDLE : NODES;
                if (step == 2'd3) done <= 1'b1;
            end
        endcase
        if (rst) begin
            state_reg <= IDLE;
            done <= 1'b0;
        end
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
