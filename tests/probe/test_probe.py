"""The probe: what is true passes, who agreed is counted, and nobody can be told from what comes out."""

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.base.clock import epoch_ms
from probe.base.main import RunError
from probe.base.packing import WireError
from probe.identity import Keys, pseudonyms, seeded_key, system_key
from probe.probe import Probe
from probe.tap import AHEAD_MS
from probe.wire.consent import NO, YES
from probe.wire.events import EVENT, NO_PCI, NO_RSRP, NO_TA, Batch
from probe.wire.subscribers import MINOR, SUBSCRIBER
from tests import oracles_count as oracle
from tests.builders_consent import always

ZONE, PLAN, CELLS, LATENESS_MS = "Europe/Berlin", b"a plan..", 10, 60_000
NOON_MS = epoch_ms(datetime(2026, 10, 24, 12), ZONE)
MIDNIGHT_MS = epoch_ms(datetime(2026, 10, 25), ZONE)
FIRST = 262_030_000_000_001
AGREED = int(YES["market_research"])


def people(*consents, ages=None):
    rows = np.zeros(len(consents), SUBSCRIBER)
    rows["subscriber"] = FIRST + np.arange(len(rows))
    rows["person"] = 100 + np.arange(len(rows))
    rows["home"], rows["gender"] = 5, 1
    rows["consent"], rows["age"] = consents, ages or 3
    return rows


def probe(rows=None, start_ms=NOON_MS, basis="consent"):
    rows = people(AGREED, AGREED, AGREED, 0) if rows is None else rows
    keys = Keys(seeded_key(1), ZONE, start_ms, LATENESS_MS)
    return Heard(PLAN, CELLS, always(rows, "market_research", basis), keys, start_ms)


class Heard(Probe):
    """A probe that nobody says no to: one part a batch."""

    def observe(self, heard):
        ((found, watermark_ms, gone),) = super().observe(heard)
        assert watermark_ms == self.watermark_ms and not any(map(len, gone))
        return found


def event(time_ms=NOON_MS, who=0, **fields):
    row = np.zeros(1, EVENT)
    row["time_ms"], row["subscriber"], row["kind"] = time_ms, FIRST + who, 5
    row["ta"], row["rsrp"], row["neighbour_pci"] = NO_TA, NO_RSRP, NO_PCI
    for name, value in fields.items():
        row[name] = value
    return row


def batch(*events, watermark_ms=NOON_MS):
    return Batch(PLAN, watermark_ms, 0, np.concatenate([np.zeros(0, EVENT), *events]))


def test_siphash_says_what_the_paper_says():
    """Aumasson and Bernstein (2012), appendix A; and the vector of 8 bytes in their reference code."""
    key = bytes(range(16))
    assert oracle.siphash_2_4(key, bytes(range(15))) == 0xA129CA6149BE45E5
    keys = np.frombuffer(key, "u8").reshape(1, 2).copy()
    number = np.frombuffer(bytes(range(8)), "u8").copy()
    found = pseudonyms(number, np.zeros(1, "i8"), keys)
    assert found.tobytes().hex() == "6224939a79f5f593"


@given(st.binary(min_size=32, max_size=32), st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20))
def test_pseudonyms_equal_siphash_typed_from_the_paper(raw, numbers):
    keys, day = np.frombuffer(raw, "u8").reshape(2, 2).copy(), np.arange(len(numbers)) % 2
    found = pseudonyms(np.array(numbers, "u8"), day, keys)
    wanted = [
        oracle.siphash_2_4(raw[16 * d : 16 * d + 16], number.to_bytes(8, "little"))
        for d, number in zip(day, numbers, strict=True)
    ]
    assert found.tolist() == wanted


def test_an_observation_holds_all_of_the_event_but_the_subscriber():
    fields = {
        "cell": 7, "kind": 8, "flags": 2, "ta": 1282, "aoa": 17,
        "rsrp": [97, 0, 40, 255, 255, 255, 255, 255], "neighbour_pci": [503, 7, 1, 2, 3, 4, 5],
    }  # fmt: skip
    heard = event(who=1, **fields)
    (found,) = probe().observe(batch(heard))
    for name in ("time_ms", *fields):
        assert np.array_equal(found[name], heard[0][name]), name
    assert (found["home"], found["klass"]) == (5, 3 * 3 + 1)
    assert heard[0]["subscriber"].tobytes() not in found.tobytes()
    key = bytearray(16)
    seeded_key(1)(epoch_ms(datetime(2026, 10, 24), ZONE), memoryview(key))
    assert int(found["pseudonym"]) == oracle.siphash_2_4(bytes(key), (101).to_bytes(8, "little"))


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": 0}, {"kind": 13}, {"cell": CELLS}, {"cell": 0xFFFFFFFF}, {"ta": 1283}, {"ta": 0xFFFE},
        {"rsrp": 98}, {"rsrp": [1, 2, 3, 4, 5, 6, 7, 254]}, {"subscriber": 99_999_999_999_999},
        {"subscriber": 10**15}, {"time_ms": -1}, {"time_ms": NOON_MS + AHEAD_MS + 1}, {"time_ms": 2**62},
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_true_is_invalid(fields):
    one = probe()
    assert not len(one.observe(batch(event(**fields))))
    assert one.counts == {"offered": 1, "invalid": 1}


@pytest.mark.parametrize(
    "fields", [{"ta": 0}, {"rsrp": 97}, {"time_ms": NOON_MS + AHEAD_MS}, {"cell": 9}], ids=str
)
def test_the_last_that_can_be_true_passes(fields):
    assert len(probe().observe(batch(event(**fields)))) == 1


@pytest.mark.parametrize(
    ("consent", "age", "basis", "passes"),
    [
        (AGREED, 3, "consent", True),
        (0, 3, "consent", False),
        (int(YES["marketing"]), 3, "consent", False),
        (AGREED | int(NO["market_research"]), 3, "consent", False),
        (AGREED | int(NO["marketing"]), 3, "consent", True),
        (AGREED, MINOR, "consent", False),
        (0, 3, "anonymous", True),
        (int(NO["market_research"]), 3, "anonymous", False),
        (0, MINOR, "anonymous", False),
    ],
)
def test_no_is_exact(consent, age, basis, passes):
    one = probe(people(consent, ages=[age]), basis=basis)
    assert len(one.observe(batch(event()))) == passes
    assert one.counts["refused"] == (not passes)


def test_the_no_of_one_handset_holds_for_all_handsets_of_the_person():
    rows = people(AGREED, AGREED | int(NO["market_research"]), AGREED, AGREED, ages=[3, 3, 3, MINOR])
    rows["person"] = [7, 7, 8, 8]
    assert not len(probe(rows).observe(batch(*[event(who=who) for who in range(4)])))


def test_a_refusal_leaves_the_observations_of_a_tap_without_that_person():
    heard = [event(NOON_MS + k, who=k % 4, cell=k % CELLS) for k in range(100)]
    agreed = [row for row in heard if row["subscriber"][0] != FIRST + 3]
    assert probe().observe(batch(*heard)).tobytes() == probe().observe(batch(*agreed)).tobytes()


def test_who_is_not_in_the_file_is_refused_and_an_empty_file_refuses_everyone():
    for rows in (people(), people(AGREED)):
        one = probe(rows)
        assert not len(one.observe(batch(event(who=77))))
        assert one.counts == {"offered": 1, "refused": 1}


def test_every_subscriber_finds_their_own_person():
    rows = people(*[AGREED] * 5_000)
    found = probe(rows).observe(batch(*[event(who=k, cell=k % CELLS) for k in range(5_000)]))
    assert len(np.unique(found["pseudonym"])) == 5_000


def test_shards_share_the_subscribers_among_them():
    """mix64(person) mod S, the bits typed from Steele, Lea and Flood (2014)."""
    known = people(*[AGREED] * 100)
    parts = [always(known, shard=shard, shards=4).table["person"] for shard in range(4)]
    for shard, persons in enumerate(parts):
        assert all(oracle.mix64(int(person)) % 4 == shard for person in persons[persons > 0])
    assert sum(np.count_nonzero(persons) for persons in parts) == 100


def test_two_handsets_of_a_person_are_one_and_the_next_day_another():
    rows = people(AGREED, AGREED)
    rows["person"] = 100
    one = probe(rows, MIDNIGHT_MS - 1_000)
    times = [MIDNIGHT_MS - 1, MIDNIGHT_MS - 1, MIDNIGHT_MS, MIDNIGHT_MS]
    heard = [event(t, who) for t, who in zip(times, (0, 1, 0, 1), strict=True)]
    before, same, after, still = one.observe(batch(*heard, watermark_ms=MIDNIGHT_MS))["pseudonym"]
    assert before == same != after == still


def test_a_key_lives_until_its_day_is_late_and_is_zeroed_then():
    keys = Keys(seeded_key(1), ZONE, NOON_MS, LATENESS_MS)
    keys.hold(NOON_MS, MIDNIGHT_MS)
    assert len(keys.keys) == 2 and keys.keys.all()
    keys.hold(MIDNIGHT_MS + LATENESS_MS, MIDNIGHT_MS)
    held = keys.keys
    assert len(held) == 2, "an event of the day before may still come"
    keys.hold(MIDNIGHT_MS + LATENESS_MS + 1, MIDNIGHT_MS)
    assert not held.any() and len(keys.keys) == 1 and keys.midnights_ms[0] == MIDNIGHT_MS


def test_a_day_without_its_key_is_late():
    one = probe()
    one.observe(batch(watermark_ms=MIDNIGHT_MS + LATENESS_MS + 1))
    assert not len(one.observe(batch(event(MIDNIGHT_MS - 1), watermark_ms=MIDNIGHT_MS + LATENESS_MS + 1)))
    assert one.counts == {"offered": 1, "late": 1}


def test_keys_of_the_system_differ_and_those_of_a_seed_do_not():
    drawn = [Keys(source, ZONE, NOON_MS, 0).keys.tobytes() for source in (system_key, system_key)]
    seeded = [Keys(seeded_key(seed), ZONE, NOON_MS, 0).keys.tobytes() for seed in (1, 1, 2)]
    assert drawn[0] != drawn[1] and seeded[0] == seeded[1] != seeded[2]


def test_a_tap_of_another_plan_ends_the_run_with_a_remedy():
    with pytest.raises(RunError, match=r"plan\.csv"):
        probe().observe(Batch(b"another.", NOON_MS, 0, np.zeros(0, EVENT)))


def test_a_watermark_that_leaps_is_the_senders_fault():
    with pytest.raises(WireError, match="leaps"):
        probe().observe(batch(watermark_ms=1 << 61))


@settings(max_examples=50, deadline=None)
@given(st.binary(min_size=48 * 12, max_size=48 * 12), st.integers(0, 12))
def test_hostile_rows_are_counted_and_cuts_do_not_show(raw, cut):
    """Any bytes at all, and half of them with a subscriber, a kind and a time that could be."""
    rows = np.frombuffer(raw, EVENT).copy()
    rows["subscriber"][::2], rows["kind"][::2], rows["cell"][::2] = FIRST, 5, 3
    rows["time_ms"][::3] = NOON_MS
    whole, parts = probe(), probe()
    found = whole.observe(batch(rows))
    cut_up = [parts.observe(batch(rows[:cut])), parts.observe(batch(rows[cut:]))]
    assert np.array_equal(found, np.concatenate(cut_up)) and whole.counts == parts.counts
    fates = ("invalid", "late", "refused")
    assert whole.counts["offered"] == 12 == len(found) + sum(whole.counts[name] for name in fates)


def test_the_probe_tells_no_number_of_a_subscriber():
    one = probe()
    one.observe(batch(event()))
    assert str(FIRST) not in repr(one) + str(vars(one)["counts"]) + repr(one._keys)
