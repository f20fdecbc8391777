// A device's file list brings the interfaces of its ports (here by the endpoint's own list) and virtio_fs_dut.
-F ../../../hdl/virtio_fs_endpoint.f
virtio_fs_dut.sv
