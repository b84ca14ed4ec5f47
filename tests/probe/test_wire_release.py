"""Releases: the bytes are pinned, every field is checked, hostile bytes raise one error."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.edge import ledger
from collector.edge.ledger import PrivacySettings, promise
from probe.base.packing import WireError, pack
from probe.wire import release
from probe.wire.release import Kind, Release
from tests.builders_seal import STATEMENT, TABLES, a_loss, a_release, forged, golden


def same(one: Release, other: Release) -> bool:
    values = np.array_equal(one.values, other.values) if one.values is not None else other.values is None
    return values and one._replace(values=None) == other._replace(values=None)


def test_a_release_keeps_its_golden_bytes():
    assert release.encode(a_release()) == golden("release")
    assert release.encode(a_loss()) == golden("release_lost")


def test_golden_bytes_say_what_was_sealed():
    assert same(release.decode(golden("release")), a_release())
    assert same(release.decode(golden("release_lost")), a_loss())


def test_the_fixed_header_has_91_bytes():
    assert release.HEADER_BYTES == 91


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=50),
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**32 - 1),
    st.sampled_from([Kind.LOST, Kind.VOID]),
    st.text(max_size=40),
)
def test_what_is_encoded_comes_back(values, seq, slot, kind, reason):
    for one in (a_release(slot, values, seq), a_loss(slot, reason, seq)._replace(kind=kind)):
        assert same(release.decode(release.encode(one)), one)


def test_the_size_does_not_depend_on_the_values():
    small, large = a_release(values=[0, 0, 0]), a_release(values=[2**60, -1, 10**9])
    assert len(release.encode(small)) == len(release.encode(large))


@given(st.binary(max_size=400))
def test_hostile_bytes_raise_only_wire_errors(frame):
    with pytest.raises(WireError):
        release.decode(frame)


@given(st.binary(max_size=200))
def test_a_hostile_body_under_a_good_hash_raises_only_wire_errors(body):
    with pytest.raises(WireError):
        release.decode(forged(body=body))


@pytest.mark.parametrize("name", ["release", "release_lost"])
def test_every_truncation_and_every_added_byte_is_noticed(name):
    frame = golden(name)
    for cut in range(len(frame)):
        with pytest.raises(WireError):
            release.decode(frame[:cut])
    with pytest.raises(WireError):
        release.decode(frame + b"\0")


def test_every_flipped_bit_is_noticed():
    frame = golden("release")
    for bit in range(8 * len(frame)):
        flipped = bytearray(frame)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(WireError):
            release.decode(bytes(flipped))


WRONG_HEADER = {
    "magic": (0, b"PRL2"),
    "protocol": (4, b"\0\2"),
    "schema": (6, b"\0\0"),
    "sequence number": (28, b"\x80"),
    "kind none": (50, b"\0"),
    "kind unknown": (50, b"\4"),
    "kind lost with a mechanism": (50, b"\2"),
    "flags": (51, b"\0\x10"),
    "mechanism": (53, b"\0\2"),
    "body length": (55, b"\0\0\0\1"),
}


@pytest.mark.parametrize("wrong", WRONG_HEADER.values(), ids=WRONG_HEADER)
def test_every_field_of_the_header_is_checked(wrong):
    at, content = wrong
    with pytest.raises(WireError):
        release.decode(forged(at=at, content=content))


WRONG_STATEMENT = {
    "no table": {"table": ""},
    "long axes": {"axes": "x" * 65},
    "no unit": {"tally_units": 0},
    "no slot": {"slot_s": 0},
    "no unit of a person": {"unit": "subscriber-hour"},
    "the bound of a week for a slot": {"unit": "subscriber-week"},
    "a week by the day": {"span": "week", "slot_s": 604_800},
    "no span": {"span": "month", "slot_s": 900},
    "a span of another length": {"slot_s": 3_600},
    "a bound that the budget does not pay for": {"bound_squared": STATEMENT.bound_squared + 1},
    "no bound": {"bound_squared": 0},
    "no code": {"code": ""},
    "less noise than the budget says": {"sigma_p": STATEMENT.sigma_p - 1},
    "no sigma": {"sigma_d": 0},
    "another budget": {"rho_numerator": STATEMENT.rho_numerator + 1},
    "unknown basis": {"basis": "interest"},
    "unknown purpose": {"purpose": "police"},
    "epoch before the first": {"consent_epoch": -1},
}


@pytest.mark.parametrize("wrong", WRONG_STATEMENT.values(), ids=WRONG_STATEMENT)
def test_every_field_of_the_statement_is_checked(wrong):
    body = pack([*STATEMENT._replace(**wrong), bytes(24)])
    with pytest.raises(WireError):
        release.decode(forged(body=body))


@pytest.mark.parametrize("raw", [b"", bytes(23), "text", 7])
def test_values_are_whole_integers(raw):
    with pytest.raises(WireError):
        release.decode(forged(body=pack([*STATEMENT, raw])))


def test_a_mebibyte_is_refused_before_it_is_read():
    with pytest.raises(WireError, match="expected 91 to"):
        release.decode(golden("release") + bytes(1 << 20))


def test_noise_and_budget_agree_with_each_other():
    """9,000^2 / (2 x 30,339^2): 100 slots of 900 person-seconds."""
    assert (STATEMENT.sigma, STATEMENT.rho_numerator, STATEMENT.rho_denominator) == (
        30_339,
        500_000,
        11_363_641,
    )


@pytest.mark.parametrize("table", TABLES, ids=lambda one: one.name)
def test_every_table_can_be_stated(table):
    """The square of a bound of person-time needs 63 bits."""
    one = a_release(statement=promise(PrivacySettings(), table), values=[0] * table.cells)
    assert same(release.decode(release.encode(one)), one)


def test_the_code_is_that_of_the_sources():
    assert len(ledger.code()) == 16 and int(ledger.code(), 16)
