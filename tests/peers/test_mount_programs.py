"""Programs that everybody has, on a mounted endpoint: what they do must end as it does on a local directory.

All of them on the golden device; on RTL those that need not many requests, and the others by hand (docs/mount.md).
"""

from __future__ import annotations

import mmap
import shutil
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_operations import compare
from mounted import Mounted, mounted, needs_fuse

from virtiofs_tb.report import Summary

pytestmark = needs_fuse

LONG = pytest.mark.parametrize("mount", ["model"], indirect=True)
"""For what takes too many requests for a simulation in every run."""


@pytest.fixture(scope="module", params=["model", "rtl"])
def mount(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    """One mount for all programs of a target. At its end all scoreboards must have seen much and found nothing."""
    with mounted(tmp_path_factory.mktemp(request.param), request.param) as mount:
        yield mount
        summary: Summary = mount.stop()
    assert sum(summary.scoreboards["file_system"].values()) > 100


@pytest.fixture
def place(mount: Mounted, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A directory of the test's own; the file system is small."""
    path = mount.path / request.node.originalname
    path.mkdir()
    yield path
    shutil.rmtree(path)


def test_coreutils(mount: Mounted, place: Path, tmp_path: Path) -> None:
    """The same lines, the same output as on a local directory."""
    script = """
        mkdir -p tree/a/b; echo one > tree/a/one; ln -s one tree/a/link; ln tree/a/one tree/a/b/two
        touch -d '2001-02-03 04:05:06' tree/a/one; chmod 640 tree/a/one
        cp -a tree copy; diff -r tree copy; ls -F copy
        stat -c '%n %F %a %h %s %y' copy/a/one tree/a/b/two
        mv copy/a/b moved; ls moved; ls -lR tree | wc -l; readlink tree/a/link
        seq 9000 > data; dd if=data of=part bs=500 skip=4 count=9 2> /dev/null; cksum part
        truncate -s 100 part; truncate -s 5000 part; cksum part; stat -c %s part
        cp --sparse=never data dense; cmp data dense; rm -r tree copy moved; ls
    """
    assert (
        mount.shell(f"cd {place.name}\n{script}")
        == subprocess.run(["sh", "-ec", script], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    )


def test_tar(mount: Mounted, place: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep" / "er").mkdir(parents=True)
    for number in range(12):
        (source / "deep" / f"file {number}").write_bytes(bytes([number]) * number * 1500)
    (source / "deep" / "er" / "link").symlink_to("../file 3")
    mount.shell(
        f"cd {place.name}; tar -C '{source}' -cf all.tar deep; tar -xpf all.tar; diff -r --no-dereference "
        f"'{source}/deep' deep; tar -df all.tar; rm -r deep; tar -xf all.tar; tar -df all.tar"
    )


@LONG
def test_git(mount: Mounted, place: Path) -> None:
    script = """
        export HOME=$PWD GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
        git config --global user.name tester; git config --global user.email tester@example.invalid
        git config --global init.defaultBranch main; git config --global gc.auto 0
        git config --global init.templateDir ""
        git init -q work; cd work
        for n in 1 2 3; do
            echo "line $n" >> text; mkdir -p d$n; echo $n > d$n/file; git add .; git commit -qm "change $n"
        done
        git mv text words; git commit -qm move; git checkout -qb side; git rm -q d1/file; git commit -qm remove
        git checkout -q main; git merge -q --no-edit side; git status --porcelain; git fsck --strict 2>&1; git gc -q
        git fsck; cd ..; git clone -q work other; cd other; git log --oneline | wc -l; cat words; git fsck
    """
    assert mount.shell(f"cd {place.name}\n{script}").splitlines() == ["5", "line 1", "line 2", "line 3"]


@LONG
@pytest.mark.parametrize("journal", ["delete", "truncate", "persist"])
def test_sqlite(place: Path, journal: str) -> None:
    sqlite(place / "base", journal, 60)


def test_sqlite_in_short(place: Path) -> None:
    sqlite(place / "base", "delete", 6)


def sqlite(path: Path, journal: str, rows: int) -> None:
    """Transactions, one of them given up, then what another connection finds."""
    base = sqlite3.connect(path)
    assert base.execute(f"PRAGMA journal_mode={journal}").fetchone() == (journal,)
    base.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT)")
    for start in range(0, rows, 3):
        with base:
            base.executemany("INSERT INTO t VALUES (?, ?)", [(n, f"row {n} " * 40) for n in range(start, start + 3)])
    base.execute("DELETE FROM t")
    base.rollback()
    base.close()
    base = sqlite3.connect(path)
    assert base.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert base.execute("SELECT count(*), sum(n) FROM t").fetchone() == (rows, rows * (rows - 1) // 2)
    base.close()


def test_mmap(place: Path) -> None:
    """A shared mapping writes the file; a private one reads it, and keeps what it changes to itself."""
    path = place / "mapped"
    path.write_bytes(bytes(20_000))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as shared:
        shared[5000:5010] = b"0123456789"
        shared[19_990:] = b"the end..."
        shared.flush()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE) as private:
        assert private[4999:5011] == b"\0" + b"0123456789" + b"\0"
        private[0:4] = b"mine"
    expected = bytearray(20_000)
    expected[5000:5010], expected[19_990:] = b"0123456789", b"the end..."
    assert path.read_bytes() == expected


@LONG
@pytest.mark.parametrize("direct", [0, 1], ids=["cached", "direct"])
def test_fio(mount: Mounted, place: Path, direct: int) -> None:
    fio(mount, place, direct, "1m")


def test_fio_in_short(mount: Mounted, place: Path) -> None:
    fio(mount, place, 1, "64k")


def fio(mount: Mounted, place: Path, direct: int, size: str) -> None:
    """Random reads and writes whose checksums are verified, then a second look at everything."""
    if shutil.which("fio") is None:
        pytest.skip("fio is missing: apt-get install fio")
    job = (
        f"fio --name=job --filename=file --rw=randrw --bs=4k --size={size} --direct={direct} --ioengine=psync "
        "--verify=crc32c --verify_backlog=16 --verify_fatal=1 --do_verify=1 --randseed=7 --fsync=20 --minimal"
    )
    mount.shell(f"cd {place.name}; {job} > /dev/null")


@pytest.mark.parametrize("seed", [1, 2])
def test_random_operations(mount: Mounted, place: Path, tmp_path: Path, seed: int) -> None:
    """Those of fsx and more, beside a local file."""
    on_rtl = mount.path.parent.name.startswith("rtl")
    compare(place, tmp_path, seed, 60 if on_rtl else 400)


def test_what_was_written_is_what_another_process_reads(mount: Mounted, place: Path) -> None:
    data = bytes(range(256)) * 300
    (place / "file").write_bytes(data)
    reader = f"{sys.executable} -c 'import sys, zlib; print(zlib.crc32(open(sys.argv[1], \"rb\").read()))'"
    assert int(mount.shell(f"cd {place.name}; {reader} file")) == zlib.crc32(data)
