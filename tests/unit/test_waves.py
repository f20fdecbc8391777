"""Signal groups, names and viewers' files; tests/sim/test_wave_window.py asks whether the signals exist in a dump."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from tests.unit.recorded_runs import record_run
from tests.unit.test_cli import one_line, tool
from tests.unit.test_ftr import read_ftr
from virtiofs_tb.report import FailureReport, ResultClass, Summary
from virtiofs_tb.runner import RunRequest, UsageError
from virtiofs_tb.waves import hierarchy, rerun
from virtiofs_tb.waves.groups import Group, Signal, choose, located, read_groups
from virtiofs_tb.waves.names import enumerations
from virtiofs_tb.waves.views import Marker, write_views

VCD = """$timescale 1ps $end
$scope module tb_top $end
 $var wire 1 ! clk $end
 $var wire 128 " hdr [127:0] $end
 $scope module known_reg $end
  $var wire 16 # known_reg[3] [15:0] $end
 $upscope $end
 $scope module queues $end
  $scope module [2] $end
   $var wire 2 $ role [1:0] $end
  $upscope $end
 $upscope $end
$upscope $end
$enddefinitions $end
#0
"""
NAMES = ["tb_top.clk", "tb_top.hdr[127:0]", "tb_top.known_reg.known_reg[3][15:0]", "tb_top.queues.[2].role[1:0]"]


def fst(hierarchy_block: bytes, kind: int) -> bytes:
    """A file with one block before the hierarchy."""
    other = bytes([0]) + (16).to_bytes(8, "big") + bytes(8)
    return other + bytes([kind]) + (len(hierarchy_block) + 8).to_bytes(8, "big") + hierarchy_block


def test_names_of_a_vcd(tmp_path: Path) -> None:
    (tmp_path / "waves.vcd").write_text(VCD)
    assert hierarchy.signals(tmp_path / "waves.vcd") == NAMES


@pytest.mark.parametrize("kind", ["gzip", "lz4"])
def test_names_of_an_fst(tmp_path: Path, kind: str) -> None:
    # Scope tb_top with attribute, wire clk (1 bit), wire hdr (128 bits in a number of two bytes).
    tree = b"\xfe\x00tb_top\x00\x00" + b"\xfc\x00\x00note\x00\x81\x01" + b"\x10\x00clk\x00\x01\x00"
    tree += b"\x10\x00hdr [127:0]\x00\x80\x01\x00" + b"\xff"
    size = len(tree).to_bytes(8, "big")
    # LZ4 of literals alone: a token, and what of the count does not fit into it.
    lz4 = size + bytes([0xF0, len(tree) - 15]) + tree
    (tmp_path / "waves.fst").write_bytes(fst(size + gzip.compress(tree), 4) if kind == "gzip" else fst(lz4, 6))
    assert hierarchy.signals(tmp_path / "waves.fst") == NAMES[:2]


def test_a_copy_of_lz4_may_overlap_itself() -> None:
    assert hierarchy._lz4(bytes([0x24]) + b"ab" + bytes([2, 0, 0x10]) + b"c", 11) == b"ababababab" + b"c"


@pytest.mark.parametrize(("name", "data"), [("waves.vcd", VCD[:60].encode()), ("waves.fst", b"\x00" * 5)])
def test_a_truncated_dump_is_said_in_one_line(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError, match=f"{name}: its header cannot be read"):
        rerun.write_beside(tmp_path / name, read_groups(), Summary("t", 1))


def test_paths_are_those_of_the_source() -> None:
    paths = [hierarchy.plain(name) for name in NAMES]
    assert paths == ["tb_top.clk", "tb_top.hdr", "tb_top.known_reg[3]", "tb_top.queues[2].role"]
    assert hierarchy.plain("tb_top.start.__SYM__queue[3:0]") == "tb_top.start.queue"


def test_names_come_from_the_sources() -> None:
    names = enumerations()
    assert names["endpoint_pkg.role_e"] == {0: "ROLE_NONE", 1: "ROLE_HIPRIO", 2: "ROLE_NOTIFICATION", 3: "ROLE_REQUEST"}
    assert names["endpoint_pkg.error_code_e"][21] == "ERR_CHAIN_BYTES"
    assert names["fuse"][26] == "INIT"
    assert (names["tlp"][0x00], names["tlp"][0x60]) == ("MRD", "MWR64")


def test_another_endpoint_has_pins_only() -> None:
    assert {group.name for group in choose("", ours=False)} == {"clock", "channels", "engine", "dpu"}
    assert len(choose("queues,lanes", ours=True)) == 13
    with pytest.raises(UsageError, match="GROUPS=lanes: no such group of signals; there are clock, channels"):
        choose("lanes", ours=False)


def view(tmp_path: Path, dump: str = "waves.vcd") -> tuple[str, str]:
    group = Group("queues", "queue 2", True, tuple(map(Signal, ("tb_top.clk", "tb_top.hdr", "tb_top.gone"))))
    roles = Group("roles", "roles", True, (Signal("tb_top.queues[2].role", "endpoint_pkg.role_e"),))
    found, missing = located([group, roles], NAMES)
    assert missing == ["tb_top.gone"]
    paths = write_views(tmp_path / dump, found, [Marker("reset", 5000), Marker("failure", 70_000)])
    return paths[0].read_text(), paths[1].read_text()


def test_the_save_file_of_gtkwave(tmp_path: Path) -> None:
    text, _ = view(tmp_path)
    names = tmp_path / "waves-names" / "endpoint_pkg.role_e.txt"
    assert f'[dumpfile] "{tmp_path / "waves.vcd"}"' in text
    assert "[markername] Areset\n[markername] Bfailure\n" in text
    assert re.search(r"^\*-[\d.]+ 70000 5000 70000( -1){24}$", text, re.MULTILINE)
    assert "-queue 2\n@28\n+{clk} tb_top.clk\n@22\n+{hdr} tb_top.hdr[127:0]\n" in text
    assert f"@2022\n^1 {names}\n+{{queues[2]/role}} tb_top.queues.[2].role[1:0]\n" in text
    assert names.read_text().splitlines()[1] == "1 ROLE_HIPRIO"
    role = "tb_top.queues.[2].role[1:0]"
    assert f"^1 {names}\n#{{queues[2]/role}} (0){role} (1){role}\n" in view(tmp_path, "waves.fst")[0]


def test_the_command_file_of_surfer(tmp_path: Path) -> None:
    _, text = view(tmp_path)
    lines = text.splitlines()
    # Items in order: divider a, clk b, hdr c, divider d, role e.
    assert lines[:2] == ["divider_add queue_2", "variable_add tb_top.clk"]
    assert lines[5:7] == ["item_focus e", "item_set_format endpoint_pkg.role_e"]
    assert lines[-2:] == ["marker_set failure 70000", "cursor_set 70000"]
    mapping = (tmp_path / ".surfer" / "mappings" / "endpoint_pkg.role_e.txt").read_text()
    assert mapping.splitlines()[:3] == ["Name = endpoint_pkg.role_e", "Bits = 2", "0 ROLE_NONE"]


def test_surfer_counts_items_in_hexadecimal(tmp_path: Path) -> None:
    """libsurfer/src/util.rs, alpha_idx_to_uint_idx: the digits are a to p. Item 31 is 0x1f."""
    role = Signal("tb_top.queues[2].role", "endpoint_pkg.role_e")
    found, _ = located([Group("many", "many", True, (*[Signal("tb_top.clk")] * 30, role))], NAMES)
    _, surfer = write_views(tmp_path / "waves.vcd", found, [])
    assert "\nitem_focus bp\nitem_set_format endpoint_pkg.role_e\n" in surfer.read_text()


def test_markers_come_from_log_and_summary(tmp_path: Path) -> None:
    record_run(tmp_path, "session_browse")
    summary = Summary("session_browse", 1, ResultClass.FAILED, failures=[FailureReport("dma", 60_000_000, "text")])
    names = [marker.name for marker in rerun.markers(tmp_path, summary)]
    assert "INIT" in names and names[-1] == "failure"
    assert rerun.markers(tmp_path / "nowhere", Summary("t", 1)) == []


def test_stories_of_the_window_stand_beside_the_waves(tmp_path: Path) -> None:
    run = record_run(tmp_path / "run", "session_browse")
    path = rerun.write_stories(run, None)
    assert path == run / "stories.ftr"
    whole = read_ftr(path.read_bytes()).of("q2_request")
    assert rerun.write_stories(run, (30_000_000, 40_000_000)) == path
    part = read_ftr(path.read_bytes()).of("q2_request")
    assert 0 < len(part) < len(whole)
    assert all(story.begin <= 40_000 and story.end >= 30_000 for story in part)
    assert rerun.write_stories(tmp_path, None) is None


def test_the_line_that_reruns_a_window() -> None:
    line = RunRequest("main", 5, "vcd", window_ps=(12_000_000, 20_000_000)).rerun
    assert line == "make waves TEST=main SEED=5 FROM=12000000ps TO=20000000ps"
    assert rerun.parse_window("12000000ps", "20000000ps") == (12_000_000, 20_000_000)
    assert rerun.parse_window("", "") is None


def test_a_time_outside_the_run() -> None:
    rerun.check_window(rerun.parse_window("12us", ""), 20_000_000)
    with pytest.raises(UsageError, match=r"TO=30\.000us: outside the run, which ends at 20\.000 us"):
        rerun.check_window(rerun.parse_window("12us", "30us"), 20_000_000)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--from", "20us", "--to", "12us"), "FROM=20us is after TO=12us"),
        (("--from", "soon"), "FROM=soon: expected simulated time, such as 12.5us"),
        (("--to", "3 weeks"), "TO=3 weeks: expected simulated time"),
        (("--groups", "queues,sockets"), "GROUPS=sockets: no such group of signals; there are clock,"),
        (("--test", "main,identity"), "waves are of one test"),
    ],
)
def test_usage_errors(arguments: tuple[str, ...], expected: str) -> None:
    done = tool("waves", "--seed", "1", *arguments)
    assert done.returncode == ResultClass.USAGE, done.stdout + done.stderr
    assert expected in one_line(done.stderr)
