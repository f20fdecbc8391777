// The stand-in device with the interfaces of its ports.
../../../hdl/pkg/tlp_if.sv
../../../hdl/pkg/stream_if.sv
../../../hdl/pkg/axil_if.sv
../../../hdl/pkg/storage_if.sv
misbehaviour.sv
bounce_dut.sv
