"""The golden file system: FUSE requests in, replies out, everything in memory.

tree.py is the file system itself (inodes, names, pages), server.py speaks FUSE 7.31 to 7.45 for it. It is the brain
behind the firmware engine and the reference for the file system in RTL; evidence that it is right comes from recorded
kernel sessions and from real servers, not from here.
"""

from virtiofs_model.ramfs.server import RamfsServer as RamfsServer
from virtiofs_model.ramfs.tree import Limits as Limits
from virtiofs_model.ramfs.tree import Tree as Tree
