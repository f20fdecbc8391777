// Turns a wanted interrupt into an MSI-X event or, with MSI-X off, into an ISR bit. Event i < MAX_QUEUES is queue i;
// the last one is the configuration.
module interrupt_events
    import endpoint_pkg::*;
(
    input  logic                       clk,
    input  logic                       resetting,
    input  logic                       msix_enable,
    input  queue_cfgs_t                queues,
    input  logic [15:0]                config_vector,
    input  logic                       irq_valid,
    output logic                       irq_ready,
    input  queue_t                     irq_queue,
    input  logic                       config_interrupt,
    output logic                       queue_isr,         // pulse
    output logic [MAX_QUEUES:0]        fire,              // pulses
    output logic [MAX_QUEUES:0][15:0]  vector
);
    assign irq_ready = 1'b1;
    assign queue_isr = irq_valid && !msix_enable && !resetting;

    // The ISR bit of a configuration change is set in the cycle before its event.
    logic config_reg;
    always_ff @(posedge clk) config_reg <= config_interrupt && !resetting;

    always_comb begin
        for (int i = 0; i < MAX_QUEUES; i++) begin
            fire[i] = irq_valid && !resetting && irq_queue == queue_t'(i);
            vector[i] = queues[i].vector;
        end
        fire[MAX_QUEUES] = config_reg;
        vector[MAX_QUEUES] = config_vector;
    end
endmodule
