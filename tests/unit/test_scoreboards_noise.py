"""Scoreboards judge whatever a log holds: a record of the endpoint that makes no sense is a failure,
or nothing, never an exception."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from virtiofs_model.ramfs import RamfsServer
from virtiofs_tb.agents.firmware import FirmwareAgent
from virtiofs_tb.host.log import (
    Channel,
    DpuChannel,
    EngineRequestChannel,
    Header,
    Kind,
    ObservationLog,
    Record,
    tlp_record,
)
from virtiofs_tb.host.model_host import ModelHost
from virtiofs_tb.paths import ROOT, SESSIONS
from virtiofs_tb.profile import Profile, load
from virtiofs_tb.scenario import Bench, load_scenarios
from virtiofs_tb.scoreboards import ScoreboardSet
from virtiofs_tb.seeds import stream

STEPS = ("virtio_capabilities", "every_notification_arrives", "random_operations", "reset_in_the_middle_of_traffic")
STRICT = load(ROOT / "profiles" / "ours-strict.toml")


@pytest.fixture(scope="module")
def sound() -> list[Record]:
    """The log of a correct run of the golden device."""
    records: list[Record] = []
    log = ObservationLog()
    log.subscribe(records.extend)
    host = ModelHost(1, log)
    firmware = FirmwareAgent(host.engine, RamfsServer(), host.loop, stream(1, "firmware"))
    tb = Bench(1, SESSIONS, firmware=firmware, faults=host.faults, options={"random_operations": 30})
    scenarios = load_scenarios(ROOT / "tests" / "sim" / "scenarios")
    for name in STEPS:
        host.run(scenarios[name].function(host, tb))
    return records


def of_the_endpoint(record: Record) -> bool:
    """Whether the endpoint decides what is in it; everything else in a log the testbench has made itself."""
    if record.kind == Kind.TLP:
        return record.channel in (Channel.CC, Channel.RQ)
    return record.kind == Kind.ENGINE_REQUEST or (
        record.kind == Kind.DPU_OPERATION and record.channel != DpuChannel.NOTIFY
    )


def again(record: Record, hdr: Header, payload: bytes) -> Record:
    """The record with another header and payload; of a packet, the fields that repeat its header follow."""
    if record.kind == Kind.TLP:
        return tlp_record(record.t_ps, record.seq, record.channel, hdr, payload)
    return replace(record, hdr=hdr, payload=payload, length=len(payload))


def damaged(record: Record, rng: random.Random) -> list[Record]:
    """What is left of a record: nothing, two of it, or one that differs in a bit, in its payload or in its status."""
    what = rng.randrange(7)
    if what == 0:
        return []
    if what == 1:
        return [record, record]
    if what == 2:
        return [again(record, record.hdr, rng.randbytes(rng.randrange(len(record.payload) + 9)))]
    if what == 3:
        return [again(record, record.hdr, record.payload[: rng.randrange(len(record.payload) + 1)])]
    if what == 4:
        return [replace(record, status=rng.randrange(4))]
    dwords = list(record.hdr)
    dwords[rng.randrange(4)] ^= 1 << rng.randrange(32)
    return [again(record, (dwords[0], dwords[1], dwords[2], dwords[3]), record.payload)]


def noise(seq: int, rng: random.Random) -> Record:
    """A record of the endpoint that means nothing: half of the packets have a type that exists."""
    dw0 = rng.choice([0x00, 0x20, 0x40, 0x60, 0x4A, 0x0A, 0x04, 0x44, 0x30]) << 24 | rng.randrange(64)
    if rng.random() < 0.5:
        dw0 = rng.getrandbits(32)
    hdr = (dw0, rng.getrandbits(32), rng.getrandbits(32), rng.getrandbits(32))
    payload = rng.randbytes(rng.choice([0, 1, 4, 16, 64]))
    if rng.random() < 0.7:
        return tlp_record(seq, seq, rng.choice([Channel.CC, Channel.RQ]), hdr, payload)
    kind = rng.choice([Kind.ENGINE_REQUEST, Kind.DPU_OPERATION])
    channel = rng.choice(
        list(EngineRequestChannel) if kind is Kind.ENGINE_REQUEST else [DpuChannel.WRITE, DpuChannel.READ]
    )
    address = rng.randrange(0, 0x400, 4)
    return Record(seq, seq, address, len(payload), kind, channel, rng.randrange(4), 0, 0, 0, hdr, payload)


@pytest.mark.parametrize("profile", [STRICT, Profile()], ids=["strict", "foreign"])
@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_log_is_judged(sound: list[Record], profile: Profile, seed: int) -> None:
    rng = stream(seed, "noise")
    boards = ScoreboardSet(profile)
    for record in sound:
        boards.observe(damaged(record, rng) if of_the_endpoint(record) and rng.random() < 0.02 else [record])
    assert boards.finish()


@pytest.mark.parametrize("seed", range(4))
def test_noise_between_sound_records_is_judged(sound: list[Record], seed: int) -> None:
    rng = stream(seed, "noise")
    boards = ScoreboardSet(STRICT)
    for record in sound:
        boards.observe([record])
        if rng.random() < 0.2:
            boards.observe([noise(record.seq, rng)])
    assert boards.finish()
