tlp_rules_pkg.sv
channel_assertions.sv
order_assertions.sv
assertions_bind.sv
