"""A Linux guest as the driver: User Mode Linux with the stock virtio_pci and virtiofs drivers, from outside.

The kernel runs in a process of its own and reaches the endpoint over an AF_UNIX socket (vhost-user messages that carry
PCI accesses); its memory is the host memory of the testbench. docs/peers.md tells how to use it.
"""
