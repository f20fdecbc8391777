"""`make mount`: the endpoint as a directory of this machine.

The kernel's FUSE client is the file-system user: its requests come from /dev/fuse, go through the driver core over the
virtqueues into the endpoint, and the replies go back; notifications go from the notification queue to the kernel.
"""
