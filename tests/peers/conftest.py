"""What the tests beside QEMU share. A machine without the programs skips with the line that installs them."""

from __future__ import annotations

import pytest

from virtiofs_tb.host.qemu import why_not


@pytest.fixture(scope="session")
def peers() -> None:
    """QEMU and virtiofsd can be started here."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
