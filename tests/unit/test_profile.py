"""Profiles: those of the project load, and what is wrong with one is said in a line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from virtiofs_tb.paths import ROOT
from virtiofs_tb.profile import ProfileError, load


@pytest.mark.parametrize("path", sorted((ROOT / "profiles").glob("*.toml")), ids=lambda path: path.stem)
def test_a_profile_of_the_project_loads(path: Path) -> None:
    assert load(path).name == path.stem


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense = 1", "unknown key 'nonsense'"),
        ("dma = 1", "'dma' is 1, expected a table"),
        ("[dma]\nread_slack = 3", "'read_slack' is 3, expected one of (0, 4, 64)"),
        ("[dma]\nread_slack = true", "'read_slack' is True, expected int"),
        ("[timing", "profile.toml: "),
        ("[fuse]\nopcodes_enosys = 'LSEEK'", "expected a list of names"),
        ("[fuse]\nopcodes_enosys = ['LSEEK', 'SEEK']", "names 'SEEK', which is no FUSE opcode"),
    ],
)
def test_a_wrong_profile_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "profile.toml"
    path.write_text(text)
    with pytest.raises(ProfileError, match=re.escape(message)):
        load(path)


def test_a_profile_that_is_not_there() -> None:
    with pytest.raises(ProfileError, match="no such profile"):
        load(Path("absent.toml"))
