"""Events, observations and subscribers: pinned bytes, every header field checked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.base.packing import Batch, WireError, pack
from probe.wire import events, observations, subscribers
from tests.builders_seal import golden

PLAN = b"plan-abc"


def an_event():
    rows = np.zeros(2, events.EVENT)
    rows["time_ms"], rows["subscriber"] = [1_778_536_800_000, 1_778_536_800_001], 262_030_000_000_001
    rows["cell"], rows["kind"], rows["ta"], rows["aoa"] = 7, events.Kind.HANDOVER, 11, events.NO_AOA
    rows["rsrp"], rows["neighbour_pci"] = [[60, 55] + [events.NO_RSRP] * 6], [[17] + [events.NO_PCI] * 6]
    return Batch(PLAN, 1_778_536_800_002, 3, rows)


def an_observation():
    rows = np.zeros(1, observations.OBSERVATION)
    rows["time_ms"], rows["pseudonym"], rows["cell"] = 1_778_536_800_000, 0x0123456789ABCDEF, 7
    rows["kind"], rows["ta"], rows["home"], rows["klass"] = 8, 11, observations.NO_HOME, 20
    return rows


def a_subscriber():
    rows = np.zeros(2, subscribers.SUBSCRIBER)
    rows["subscriber"], rows["person"] = [262_030_000_000_001, 262_030_000_000_002], [4, 9]
    rows["country"], rows["age"], rows["consent"] = 262, [2, subscribers.MINOR], [2, 0]
    return subscribers.Subscribers(5, rows)


FORMATS = {
    "events": (events, an_event()),
    "subscribers": (subscribers, a_subscriber()),
}


@pytest.mark.parametrize("name", FORMATS)
def test_bytes_are_golden_and_come_back(name):
    wire, content = FORMATS[name]
    assert wire.encode(content) == golden(name)
    back = wire.decode(golden(name))
    assert np.array_equal(back.rows, content.rows)
    assert back._replace(rows=0) == content._replace(rows=0)


def test_the_bytes_of_an_observation_are_golden():
    assert an_observation().tobytes() == golden("observations")


def test_rows_have_the_size_that_the_contract_says():
    assert (events.EVENT.itemsize, observations.OBSERVATION.itemsize) == (48, 59)


@pytest.mark.parametrize("name", FORMATS)
def test_every_truncation_and_every_added_byte_is_noticed(name):
    wire, frame = FORMATS[name][0], golden(name)
    for cut in range(len(frame)):
        with pytest.raises(WireError):
            wire.decode(frame[:cut])
    with pytest.raises(WireError):
        wire.decode(frame + b"\0")


@given(st.sampled_from(list(FORMATS)), st.binary(max_size=200))
def test_hostile_bytes_raise_only_wire_errors(name, frame):
    with pytest.raises(WireError):
        FORMATS[name][0].decode(frame)


def wrong_batches(good):
    changes = {0: "footfall.x", 1: 2, 2: b"short", 3: -1, 4: 2, 5: 64, 6: good[6][1:]}
    return [[*good[:i], value, *good[i + 1 :]] for i, value in changes.items()] + [
        [*good[:4], True, *good[5:]],
        [*good[:3], 1 << 62, *good[4:]],
        [*good[:4], -1, *good[5:]],
        good[:-1],
        [*good, 0],
    ]


def test_every_field_of_a_batch_is_checked():
    events.decode(pack(good := [events.MAGIC, 1, PLAN, 1_000, 1, 0, bytes(48)]))
    for wrong in wrong_batches(good):
        with pytest.raises(WireError):
            events.decode(pack(wrong))


def test_every_field_of_the_subscribers_is_checked():
    raw = golden("subscribers")[-48:]
    good = [subscribers.MAGIC, 1, 5, 2, raw]
    subscribers.decode(pack(good))
    for i, value in {0: "footfall.x", 1: 2, 2: -1, 3: 3, 4: raw[:-1]}.items():
        with pytest.raises(WireError):
            subscribers.decode(pack([*good[:i], value, *good[i + 1 :]]))
    with pytest.raises(WireError, match="rising"):
        subscribers.decode(pack([*good[:4], raw[24:] + raw[:24]]))
