// Another device under test: our endpoint again, built small, behind a wrapper of its own.
-F ../../../hdl/virtio_fs_endpoint.f
second_dut.sv
