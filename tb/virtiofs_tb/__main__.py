"""`python -m virtiofs_tb` is virtiofs-tb."""

from virtiofs_tb.cli import main

main()
