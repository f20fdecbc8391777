"""The golden file system: FUSE requests in, replies out, everything in memory, by the rules of docs/file-system.md.

store.py, files.py and tree.py are the file system itself (slots and pages, contents, names); message.py and the rows
speak FUSE 7.31 to 7.45 for it, a row an opcode; server.py puts them together. Whatever changes goes through
journal.py, so it can be taken back. It is the brain behind the firmware engine and the reference for the file system
in RTL; evidence that it is right comes from recorded kernel sessions and from real servers, not from here.
"""

from virtiofs_model.ramfs.inode import Limits as Limits
from virtiofs_model.ramfs.server import NOT_YET as NOT_YET
from virtiofs_model.ramfs.server import RamfsServer as RamfsServer
from virtiofs_model.ramfs.state import Config as Config
from virtiofs_model.ramfs.tree import Tree as Tree
