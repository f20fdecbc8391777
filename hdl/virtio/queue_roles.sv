// What each virtqueue index means. The text of the specification counts request queues from 2; deployed drivers and
// devices count them from 1 where the notification feature is not negotiated. The role is settled at FEATURES_OK.
module queue_roles
    import endpoint_pkg::*, virtio_pkg::*;
(
    input  straps_t                straps,
    input  logic                   settled,        // FEATURES_OK is set
    input  logic                   notification,   // negotiated
    output role_e [MAX_QUEUES-1:0] role,
    output logic [MAX_QUEUES-1:0]  present         // queue_size is not 0
);
    logic [4:0] first_request, last_request, queues;
    assign first_request = straps.literal_numbering || notification ? 5'd2 : 5'd1;
    assign last_request = first_request + 5'(straps.num_request_queues) - 5'd1;
    assign queues = queue_count(straps);

    always_comb begin
        for (int i = 0; i < MAX_QUEUES; i++) begin
            role[i] = ROLE_NONE;
            if (settled) begin
                if (i == 0) role[i] = ROLE_HIPRIO;
                else if (i == 1 && notification) role[i] = ROLE_NOTIFICATION;
                else if (5'(i) >= first_request && 5'(i) <= last_request) role[i] = ROLE_REQUEST;
            end
            present[i] = settled ? role[i] != ROLE_NONE : 5'(i) < queues;
        end
    end
endmodule
