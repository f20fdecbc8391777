"""cocotbext-pcie's Tlp class reads every packet of a random run as our codec does, and writes it as it was."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.unit.recorded_runs import record_run
from virtiofs_model import tlp
from virtiofs_model.layouts.tlp import FMT_4DW, TlpKind
from virtiofs_tb.host.log import Channel, Kind, Record, read_log

theirs = pytest.importorskip("cocotbext.pcie.core.tlp", reason="python3 tools/bootstrap.py peers installs it")

COMPLETIONS = (TlpKind.CPL, TlpKind.CPLD)
CONFIG = (TlpKind.CFGRD0, TlpKind.CFGWR0)


@pytest.fixture(scope="module")
def packets(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """Every packet of a random run with faults and notifications."""
    run = record_run(tmp_path_factory.mktemp("run"), "random_operations", "payload_faults_give_eio")
    return [record for record in read_log(run) if record.kind == Kind.TLP]


def wire(record: Record) -> bytes:
    """A packet as it would go over a link: header and payload, without framing."""
    dwords = 4 if record.hdr[0] >> 24 & FMT_4DW else 3
    return b"".join(dword.to_bytes(4, "big") for dword in record.hdr[:dwords]) + record.payload


def ours_of(record: Record) -> dict[str, object]:
    """What our codec says that a packet holds."""
    ours = tlp.decode(record.hdr, record.payload)
    seen: dict[str, object] = {
        "fmt and type": ours.fmt_type,
        "ep": ours.ep,
        **dict.fromkeys(("tc", "attr", "at", "td", "th", "ln"), 0),  # never set by either side
        "requester_id": ours.requester_id,
        "tag": ours.tag,
        "length": ours.length_dw,
        "data": ours.payload,
    }
    if ours.kind in COMPLETIONS:
        seen |= {
            "completer_id": ours.completer_id,
            "status": ours.status,
            "byte_count": ours.byte_count,
            "lower_address": ours.lower_address,
        }
    else:
        seen |= {"first_be": ours.first_be, "last_be": ours.last_be, "address": ours.address}
        if ours.kind in CONFIG:
            seen["completer_id"] = ours.completer_id
    return seen


def theirs_of(data: bytes, names: dict[str, object]) -> dict[str, object]:
    """What cocotbext-pcie says of the same fields."""
    packet = theirs.Tlp.unpack(data)
    seen: dict[str, object] = {}
    for name in names:
        if name == "fmt and type":
            seen[name] = packet.fmt << 5 | packet.type
        elif name == "data":
            seen[name] = bytes(packet.data)
        elif name.endswith("_id"):
            seen[name] = int(getattr(packet, name))
        else:
            seen[name] = getattr(packet, name)
    return seen


def test_every_packet_is_read_the_same(packets: list[Record]) -> None:
    kinds: Counter[tuple[str, str]] = Counter()
    for record in packets:
        expected = ours_of(record)
        assert theirs_of(wire(record), expected) == expected, f"packet {record.seq}"
        kinds[Channel(record.channel).name, tlp.decode(record.hdr, record.payload).kind.name] += 1
    assert {channel for channel, _ in kinds} == {"CQ", "CC", "RQ", "RC"}
    requests = {("CQ", "MRD"), ("CQ", "MWR"), ("CQ", "CFGRD0"), ("CQ", "CFGWR0"), ("RQ", "MRD"), ("RQ", "MWR")}
    assert requests | {("CC", "CPL"), ("CC", "CPLD"), ("RC", "CPL"), ("RC", "CPLD")} <= kinds.keys()
    assert len(packets) > 1000


def test_every_packet_is_written_as_it_was(packets: list[Record]) -> None:
    for record in packets:
        data = wire(record)
        assert bytes(theirs.Tlp.unpack(data).pack()) == data, f"packet {record.seq}"
        assert tlp.encode(tlp.decode(record.hdr, record.payload)) == (record.hdr, record.payload)


def test_their_check_finds_nothing(packets: list[Record], capsys: pytest.CaptureFixture[str]) -> None:
    """Their own rules for a packet: lengths, 4 KiB, byte counts."""
    bad = [record.seq for record in packets if not theirs.Tlp.unpack(wire(record)).check()]
    assert bad == [], capsys.readouterr().out


@pytest.mark.parametrize("bit", [0, 14, 24, 40, 47, 60, 66, 95])
def test_a_changed_bit_is_seen(packets: list[Record], bit: int) -> None:
    """The comparison can fail: one bit of the header, and some field differs."""
    record = next(record for record in packets if record.channel == Channel.RQ and record.payload)
    expected = ours_of(record)
    data = bytearray(wire(record))
    data[bit // 8] ^= 1 << bit % 8
    try:
        seen = theirs_of(bytes(data), expected)
    except Exception as error:  # a type that it does not know
        seen = {"error": str(error)}
    assert seen != expected


def test_the_log_of_another_run_differs(packets: list[Record], tmp_path: Path) -> None:
    """The packets are those of a random run: another seed gives others."""
    other = [record for record in read_log(record_run(tmp_path / "run", "random_operations", seed=2))]
    assert [record.hdr for record in other if record.kind == Kind.TLP] != [record.hdr for record in packets]
