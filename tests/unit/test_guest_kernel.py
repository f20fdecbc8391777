"""Building the guest's kernel and its files: what is missing is named, what fails leaves nothing half done."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

import pytest

from virtiofs_tb.guest import initrd, kernel
from virtiofs_tb.guest.errors import GuestBuildError, GuestMissing
from virtiofs_tb.guest.process import DEVICE_ID

FAKE_MAKEFILE = """
allnoconfig:
\tcp $$KCONFIG_ALLCONFIG $(O)/.config
\tsed -i '/DROPPED/d' $(O)/.config
linux:
\t@test -z "$$SHELL_LEAKED" && test -z "$(findstring SHELL,$(MAKEFLAGS))"
\tcp /bin/true $(O)/linux
\techo built >>$(O)/../../count
broken:
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source archive with a makefile of a few lines instead of a kernel."""
    source = tmp_path / "linux-source-6.1"
    source.mkdir()
    (source / "Makefile").write_text(FAKE_MAKEFILE)
    archive = tmp_path / "linux.tar.xz"
    with tarfile.open(archive, "w:xz") as tar:
        tar.add(source, source.name)
    config = tmp_path / "kernel.config"
    config.write_text("# options\nCONFIG_PCI=y\n")
    monkeypatch.setattr(kernel, "SOURCE", archive)
    monkeypatch.setattr(kernel, "CONFIG", config)
    monkeypatch.setattr(kernel, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(kernel, "missing", list)
    monkeypatch.setattr(initrd, "build", lambda target: target.write_bytes(b"archive"))
    monkeypatch.setattr(initrd, "key", lambda: "key")
    monkeypatch.setenv("MAKEFLAGS", " -- SHELL=1")
    return tmp_path / "cache"


def test_a_kernel_is_built_once_for_a_configuration(cache: Path) -> None:
    said: list[str] = []
    first = kernel.image({"tag": "a"}, said.append)
    again = kernel.image({"tag": "b"}, said.append)
    assert first.kernel == again.kernel and first.kernel.exists() and len(said) == 1
    assert (cache / "count").read_text() == "built\n"
    assert sorted(path.name for path in first.kernel.parent.iterdir()) == [
        "build.log", "config", "initrd-key.gz", "linux",
    ]  # fmt: skip
    kernel.CONFIG.write_text("CONFIG_PCI=y\nCONFIG_FUSE_FS=y\n")
    assert kernel.image({}).kernel != first.kernel
    assert not list(cache.glob("*.part"))


def test_an_option_that_is_dropped_is_an_error(cache: Path) -> None:
    kernel.CONFIG.write_text("CONFIG_PCI=y\nCONFIG_DROPPED=y\n")
    with pytest.raises(GuestBuildError, match="does not take the options CONFIG_DROPPED=y"):
        kernel.image({})
    assert not list(cache.glob("*.part")) and not list(cache.glob("*/linux"))


def test_a_build_that_fails_shows_the_end_of_its_log(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL_LEAKED", "1")
    with pytest.raises(GuestBuildError, match=r"(?s)make failed on the guest's kernel; the end of .*Error 1"):
        kernel.image({})
    assert not list(cache.glob("*.part")) and not list(cache.glob("*/linux"))


def test_what_is_missing_is_named_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(kernel, "SOURCE", tmp_path / "none.tar.xz")
    with pytest.raises(GuestMissing, match=r"needs flex, bison, .*none\.tar\.xz.*: apt-get install linux-source-6\.1 "):
        kernel.image({})


def test_a_busybox_that_needs_libraries_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(initrd, "BUSYBOX", tmp_path / "busybox")
    initrd.BUSYBOX.write_bytes(b"\x7fELF" + b"\0" * 100 + b"/lib64/ld-linux-x86-64.so.2\0")
    assert any("statically linked" in lack for lack in kernel.missing())


def test_the_kernel_has_the_device_id_of_the_command_line() -> None:
    assert f"CONFIG_UML_PCI_OVER_VIRTIO_DEVICE_ID={DEVICE_ID}\n" in kernel.CONFIG.read_text()


@pytest.mark.skipif(bool(kernel.missing()), reason=f"apt-get install {kernel.PACKAGES}")
def test_the_initial_file_system_has_the_scripts(tmp_path: Path) -> None:
    initrd.build(tmp_path / "initrd.gz")
    content = gzip.decompress((tmp_path / "initrd.gz").read_bytes())
    for script in initrd.FILES.iterdir():
        assert script.read_bytes() in content
    assert initrd.BUSYBOX.read_bytes() in content
    assert len(initrd.key()) == 12
