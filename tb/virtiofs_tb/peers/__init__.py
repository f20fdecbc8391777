"""Comparisons with software of others: QEMU and virtiofsd."""
