// Doorbells: the address tells the queue, at every byte position of its 16 bits. A kick of a queue that is not
// enabled, or that comes during a reset, is forgotten.
module notify
    import endpoint_pkg::*, pcie_pkg::*;
(
    input  logic                  clk,
    input  access_t               access,
    input  logic                  resetting,
    input  queue_cfgs_t           queues,
    output logic [MAX_QUEUES-1:0] doorbell
);
    logic unused;
    assign unused = &{1'b0, access, queues};

    logic here;
    assign here = access.valid && access.write && access.be[1:0] != '0 && access.addr[12:4] == BAR0_NOTIFY[14:6];

    always_ff @(posedge clk) begin
        for (int i = 0; i < MAX_QUEUES; i++)
            doorbell[i] <= here && access.addr[3:0] == 4'(i) && queues[i].enable && !resetting;
    end
endmodule
