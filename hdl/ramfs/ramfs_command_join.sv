// Brings the commands of the core's phases to the tables. Only one phase is on at a time, and each looks only at the
// answers that it waits for.
module ramfs_command_join
    import ramfs_pkg::*, ramfs_core_pkg::*;
(
    input  logic [3:0]      node_valid_of,
    output logic [3:0]      node_ready_of,
    input  node_cmd_t [3:0] node_of,
    output logic            node_valid,
    input  logic            node_ready,
    output node_cmd_t       node,
    input  logic [1:0]      name_valid_of,
    output logic [1:0]      name_ready_of,
    input  name_cmd_t [1:0] name_of,
    output logic            name_valid,
    input  logic            name_ready,
    output name_cmd_t       name,
    input  logic [1:0]      page_valid_of,
    output logic [1:0]      page_ready_of,
    input  page_cmd_t [1:0] page_of,
    output logic            page_valid,
    input  logic            page_ready,
    output page_cmd_t       page
);
    assign node_valid = node_valid_of != 0;
    assign node_ready_of = {4{node_ready}};
    assign name_valid = name_valid_of != 0;
    assign name_ready_of = {2{name_ready}};
    assign page_valid = page_valid_of != 0;
    assign page_ready_of = {2{page_ready}};

    always_comb begin
        node = node_of[0];
        for (int i = 1; i < 4; i++) if (node_valid_of[i]) node = node_of[i];
        name = name_valid_of[1] ? name_of[1] : name_of[0];
        page = page_valid_of[1] ? page_of[1] : page_of[0];
    end
endmodule
