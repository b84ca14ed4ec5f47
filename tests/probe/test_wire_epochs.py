"""Epochs: pinned bytes, every byte signed, every field checked; fingerprints tell no number."""

import hashlib
import hmac

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.base.packing import WireError, pack
from probe.identity import fingerprints
from probe.wire import epochs
from probe.wire.consent import CHANGE
from probe.wire.subscribers import SUBSCRIBER
from tests.builders_seal import golden
from tests.oracles_count import siphash_2_4

KEY, FROM_MS = bytes(range(32)), 1_778_536_800_000
NUMBER = 262_030_000_000_001


def an_epoch():
    rows = np.zeros(2, epochs.DECISION)
    rows["time_ms"], rows["fingerprint"] = [FROM_MS, FROM_MS + 899_999], [0x0123456789ABCDEF, 0xFEDCBA9876543210]
    rows["row"][1] = (NUMBER, 4, 5, 262, 2, 1, 0, 2)
    return epochs.Epoch(7, FROM_MS, FROM_MS + 900_000, "market_research", "consent", 2, 4, rows)


def signed(*fields, key=KEY):
    """The frame of any fields under a good signature, typed from the format."""
    begin = pack([*fields, bytes(32)])[:-32]
    return begin + hmac.new(key, begin, hashlib.sha256).digest()


def test_bytes_are_golden_and_come_back():
    assert epochs.encode(an_epoch(), KEY) == golden("epoch")
    back = epochs.decode(golden("epoch"), KEY)
    assert np.array_equal(back.decisions, an_epoch().decisions)
    assert back._replace(decisions=0) == an_epoch()._replace(decisions=0)
    assert (epochs.DECISION.itemsize, CHANGE.itemsize) == (40, 18)


def test_a_no_holds_no_number():
    stop = an_epoch()._replace(decisions=an_epoch().decisions[:1])
    assert not np.any(stop.decisions["row"]["subscriber"]) and len(epochs.encode(stop, KEY)) < 200


def test_every_bit_is_signed_and_every_cut_is_noticed():
    frame = golden("epoch")
    for at in range(len(frame)):
        with pytest.raises(WireError):
            epochs.decode(frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :], KEY)
        with pytest.raises(WireError):
            epochs.decode(frame[:at], KEY)
    for wrong in (frame + b"\0", b"\0" + frame):
        with pytest.raises(WireError):
            epochs.decode(wrong, KEY)


def test_another_key_does_not_open_it():
    with pytest.raises(WireError, match="signature"):
        epochs.decode(golden("epoch"), bytes(32))


@given(st.binary(max_size=200))
def test_hostile_bytes_raise_only_wire_errors_signed_or_not(raw):
    for frame in (raw, raw + hmac.new(KEY, raw, hashlib.sha256).digest()):
        with pytest.raises(WireError):
            epochs.decode(frame, KEY)


def test_every_field_is_checked():
    raw = an_epoch().decisions.tobytes()
    good = [epochs.MAGIC, 1, 7, FROM_MS, FROM_MS + 900_000, "market_research", "consent", 2, 4, raw]
    assert signed(*good) == golden("epoch")
    loud = np.frombuffer(raw, epochs.DECISION).copy()
    loud["row"]["home"][0] = 5
    wrong = [(0, "footfall.epocs"), (1, 2), (2, 0), (2, True), (3, -1), (4, 1 << 62), (3, FROM_MS + 1), (5, "fun"),
             (4, FROM_MS + 899_999), (6, "none"), (7, 4), (7, -1), (7, True), (8, 2), (8, 1 << 62),
             (9, raw[40:] + raw[:40]), (9, raw[1:]), (9, loud.tobytes()), (9, "")]
    for field, value in wrong:
        with pytest.raises(WireError):
            epochs.decode(signed(*good[:field], value, *good[field + 1 :]), KEY)
    for fields in (good[:-1], [*good, 0]):
        with pytest.raises(WireError):
            epochs.decode(signed(*fields), KEY)


def test_an_epoch_that_goes_back_in_time_opens_so_that_it_can_be_counted_as_one():
    back = an_epoch()._replace(until_ms=FROM_MS - 1, decisions=an_epoch().decisions[:0])
    assert epochs.decode(epochs.encode(back, KEY), KEY).until_ms == FROM_MS - 1


def test_an_epoch_is_known_by_its_first_bytes_and_a_batch_is_none():
    assert epochs.is_epoch(golden("epoch")) and not epochs.is_epoch(golden("events")) and not epochs.is_epoch(b"")


def test_a_bundle_comes_back_and_a_damaged_one_does_not_open():
    frames = [(FROM_MS, golden("epoch")), (FROM_MS + 900_000, b"another")]
    assert epochs.bundled(epochs.bundle(frames)) == frames and epochs.bundled(epochs.bundle([])) == []
    sizes = [np.array(size, "<i8").tobytes() for size in ([[0, 4]], [[0, -1]], [0])]
    damaged = [b"", b"\0", pack([1, 2]), epochs.bundle(frames)[:-1], *(pack([raw, b"abc"]) for raw in sizes)]
    for data in damaged:
        with pytest.raises(WireError):
            epochs.bundled(data)


@settings(deadline=None)
@given(st.binary(min_size=32, max_size=32), st.lists(st.integers(0, 2**64 - 1), max_size=5))
def test_fingerprints_are_siphash_under_a_key_of_their_own(key, numbers):
    derived = hashlib.sha256(b"footfall fingerprint" + key).digest()[:16]
    wanted = [siphash_2_4(derived, number.to_bytes(8, "little")) for number in numbers]
    assert fingerprints(np.array(numbers, "u8"), key).tolist() == wanted


def test_fingerprints_of_rows_are_those_of_their_numbers():
    rows = np.zeros(3, SUBSCRIBER)
    rows["subscriber"] = NUMBER + np.arange(3)
    assert np.array_equal(fingerprints(rows["subscriber"], KEY), fingerprints(rows["subscriber"].copy(), KEY))
