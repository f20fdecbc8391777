// The testbench around the device under test. The device's own file list comes before it and brings the interfaces.
bridge_pkg.sv
packet_sink.sv
packet_source.sv
tlp_sink.sv
tlp_source.sv
stream_sink.sv
stream_source.sv
axil_driver.sv
storage_memory.sv
tb_top.sv
