"""Who may be counted changes in event time, by signed epochs alone: a yes from the next event on, a no at once."""

from collections import deque
from datetime import datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe import consent
from probe.base.clock import epoch_ms, midnights_ms
from probe.consent import Consent
from probe.identity import Keys, fingerprints, pseudonyms, seeded_key
from probe.probe import Probe
from probe.wire import epochs, events
from probe.wire.consent import NO, YES
from probe.wire.subscribers import MINOR, SUBSCRIBER, Subscribers
from simulator.tap import frames
from simulator.world import Batch
from tests.builders_consent import ASKED, KEY, ZONE, an_epoch, decision

PLAN, CELLS, LATENESS_MS, SLOT_MS, MINUTE_MS = b"a plan..", 1_000, 60_000, 900_000, 60_000
MIDNIGHT_MS = epoch_ms(datetime(2026, 10, 25), ZONE)  # of a day of 25 hours
START_MS, END_MS = MIDNIGHT_MS - 2 * SLOT_MS, MIDNIGHT_MS + 2 * SLOT_MS
FIRST, AGREED = 262_030_000_000_001, int(YES["market_research"])
PERSONS = np.array([7, 7, 8, 9], "u8")  # whose the handsets are: the first two are one person's


def people(*consents):
    rows = np.zeros(len(consents), SUBSCRIBER)
    rows["subscriber"], rows["home"], rows["age"], rows["consent"] = FIRST + np.arange(len(rows)), 5, 3, consents
    rows["person"] = PERSONS[: len(rows)]
    return rows


AGREE = people(*4 * [AGREED])
NAMES = fingerprints(AGREE["subscriber"], KEY)


def probe_of(rows, start_ms=START_MS, weekly=False, zone=ZONE):
    days, weeks = (Keys(seeded_key(1, of), zone, start_ms, LATENESS_MS, length)
                   for of, length in (("pseudonym", 1), ("week", 7)))
    known = Consent(Subscribers(0, rows), *ASKED, KEY, zone, weekly=weekly)
    return Probe(PLAN, CELLS, known, days, start_ms, weeks=weeks if weekly else None)


def heard(*given):
    """EVENT[n] of (ms, who); the cell tells which it is."""
    rows = np.zeros(len(given), events.EVENT)
    rows["ta"], rows["rsrp"], rows["neighbour_pci"], rows["kind"] = events.NO_TA, events.NO_RSRP, events.NO_PCI, 5
    rows["time_ms"], rows["subscriber"] = [t for t, _ in given], [FIRST + who for _, who in given]
    rows["cell"] = np.arange(len(rows))
    return rows


def batch(watermark_ms, *given):
    return events.Batch(PLAN, watermark_ms, 0, heard(*given))


def start(time_ms, who):
    return decision(time_ms, NAMES[who], AGREE[who])


def stop(time_ms, who):
    return decision(time_ms, NAMES[who])


def counted(parts):
    return np.concatenate([part.observations for part in parts])["cell"].tolist()


def pseudonym(one, person, day=0):
    return pseudonyms(np.array([person], "u8"), np.array([day]), one._keys.keys)[0]


# ---- a yes, a no


def test_a_late_yes_counts_from_the_next_event_on_and_nothing_before():
    one, now_ms = probe_of(people(0, 0)), START_MS + 5_000
    one.take_epoch(an_epoch(1, START_MS, END_MS, start(now_ms, 0)))
    found = one.observe(batch(now_ms + 9, (now_ms - 1, 0), (now_ms, 1), (now_ms, 0), (now_ms - 1, 0), (now_ms + 5, 0)))
    assert counted(found) == [2, 4] and one.counts["refused"] == 3
    assert counted(one.observe(batch(now_ms + 9, (now_ms - 2, 0), (now_ms + 7, 0)))) == [1], "late rows are before it"


def test_a_no_cuts_the_batch_where_it_was_said_and_names_who_must_be_forgotten():
    one, now_ms = probe_of(AGREE), START_MS + 5_000
    one.take_epoch(an_epoch(1, START_MS, END_MS, stop(now_ms, 2)))
    before, after = one.observe(batch(now_ms + 9, (now_ms - 1, 2), (now_ms - 1, 3), (now_ms, 2), (now_ms, 3)))
    assert (counted([before]), counted([after])) == ([0, 1], [3])
    assert (before.watermark_ms, after.watermark_ms) == (now_ms, now_ms + 9)
    assert before.gone[0][0] == pseudonym(one, 8) == before.observations["pseudonym"][0]
    assert len(before.gone[0]) == len(one._keys.keys) and not len(before.gone[1]) and not any(map(len, after.gone))
    assert not counted(one.observe(batch(now_ms + 99, (now_ms - 1, 2), (now_ms + 50, 2)))), "neither late rows nor new"


def test_a_no_that_comes_late_takes_effect_at_once():
    one, now_ms = probe_of(AGREE), START_MS + 5_000
    one.take_epoch(an_epoch(1, START_MS, END_MS))
    one.observe(batch(now_ms, (now_ms, 2)))
    one.take_epoch(an_epoch(2, START_MS, END_MS, stop(START_MS, 2)))
    first, rest = one.observe(batch(now_ms + 9, (now_ms - 9, 2), (now_ms + 1, 2), (now_ms + 1, 3)))
    assert first.watermark_ms == now_ms and pseudonym(one, 8) in first.gone[0]
    assert counted([first, rest]) == [2]


@pytest.mark.parametrize("stray", [(3, START_MS + 30 * MINUTE_MS), (3, 1 << 60), (-FIRST, START_MS + 30 * MINUTE_MS)])
def test_what_is_heard_ahead_of_the_watermark_moves_nobodys_no(stray):
    """Of one who never said yes, with a clock that is ahead, or nothing that can be true."""
    def run(*rows):
        one, found = probe_of(people(AGREED, AGREED, AGREED, 0)), []
        one.take_epoch(an_epoch(1, START_MS, END_MS, stop(START_MS + 20 * MINUTE_MS, 2)))
        for minute in range(30):
            now_ms = START_MS + minute * MINUTE_MS
            found += one.observe(batch(now_ms, (now_ms, 2), *(rows if minute == 0 else ())))
        return counted(found), [part.watermark_ms for part in found]

    assert run() == run((stray[1], stray[0]))


def test_who_says_no_ahead_of_the_watermark_is_named_when_it_gets_there_and_what_waits_is_theirs():
    one, now_ms = probe_of(AGREE), START_MS + 5_000
    one.take_epoch(an_epoch(1, START_MS, END_MS, stop(now_ms, 2), start(MIDNIGHT_MS, 2)))
    (early,) = one.observe(batch(START_MS, (now_ms + 1, 2), (now_ms - 1, 2), (MIDNIGHT_MS + 1, 2)))
    before, after = one.observe(batch(now_ms, (now_ms + 1, 2), (now_ms + 1, 3)))
    assert counted([early]) == [0, 1, 2] and counted([before, after]) == [1]
    assert set(early.observations["pseudonym"]) <= set(before.gone[0]) and before.watermark_ms == now_ms


def test_a_yes_ahead_of_the_watermark_is_heeded_when_it_gets_there():
    one, now_ms = probe_of(people(0, 0)), START_MS + 5_000
    one.take_epoch(an_epoch(1, START_MS, END_MS, start(now_ms, 0)))
    assert counted(one.observe(batch(now_ms - 1, (now_ms, 0), (now_ms + 1, 0)))) == []
    assert counted(one.observe(batch(now_ms, (now_ms - 1, 0), (now_ms, 0), (now_ms + 1, 0)))) == [1, 2]


def test_pseudonyms_of_every_day_and_week_that_are_held_must_be_forgotten():
    one = probe_of(AGREE, weekly=True)
    one.take_epoch(an_epoch(1, START_MS, END_MS, stop(MIDNIGHT_MS + 1_000, 0), stop(MIDNIGHT_MS + 1_000, 1)))
    first, second = one.observe(batch(MIDNIGHT_MS + 2_000, (MIDNIGHT_MS - 1, 0), (MIDNIGHT_MS, 1)))
    assert set(first.observations["pseudonym"]) == set(first.gone[0]) == {pseudonym(one, 7, day) for day in (0, 1)}
    assert set(first.observations["week"]) <= set(first.gone[1]) and not counted([second])


def test_over_a_week_only_those_are_followed_who_said_yes():
    rows = people(AGREED, 0, 0)
    rows["person"] = 7, 8, 9
    known = Consent(Subscribers(0, rows[:2]), ASKED[0], "anonymous", KEY, ZONE, weekly=True)
    yes = rows[2:]
    yes["consent"] = AGREED
    said = decision(1, fingerprints(yes["subscriber"], KEY)[0], yes)
    known.take(an_epoch(1, 0, 9, said, asked=(ASKED[0], "anonymous")))
    known.advance(1)
    held = known.table[known.table["name"] > 0]
    assert dict(zip(held["person"].tolist(), held["weekly"].tolist(), strict=True)) == {7: 1, 8: 0, 9: 1}


@pytest.mark.parametrize("basis", ["consent", "anonymous"])
def test_a_connection_that_refuses_is_refused_event_by_event_whoever_it_is(basis):
    known = Consent(Subscribers(0, AGREE), ASKED[0], basis, KEY, ZONE)
    known.take(an_epoch(1, START_MS, END_MS, asked=(ASKED[0], basis)))
    one = Probe(PLAN, CELLS, known, Keys(seeded_key(1), ZONE, START_MS, LATENESS_MS), START_MS)
    rows = heard(*[(START_MS + k, 2) for k in range(4)])
    rows["flags"] = 0, events.REFUSES, events.REFUSES | 2, 2
    (found,) = one.observe(events.Batch(PLAN, START_MS, 0, rows))
    assert found.observations["cell"].tolist() == [0, 3] and one.counts["refused"] == 2


def test_who_comes_back_on_the_same_day_is_counted_from_midnight_on():
    """What a bound grants is kept by local day, and was forgotten: nobody is granted it twice."""
    one = probe_of(AGREE)
    one.take_epoch(an_epoch(1, START_MS, END_MS, stop(START_MS + 1_000, 2), start(START_MS + 2_000, 2)))
    times = START_MS, START_MS + 3_000, MIDNIGHT_MS - 1, MIDNIGHT_MS
    assert counted(one.observe(batch(MIDNIGHT_MS + 5, *[(time_ms, 2) for time_ms in times]))) == [0, 3]


def test_the_other_handset_of_who_said_no_waits_for_midnight_too():
    one = probe_of(people(AGREED, 0))
    one.take_epoch(an_epoch(1, START_MS, END_MS, stop(START_MS + 1_000, 0), start(START_MS + 2_000, 1)))
    assert counted(one.observe(batch(MIDNIGHT_MS + 5, (MIDNIGHT_MS - 1, 1), (MIDNIGHT_MS, 1)))) == [1]


def test_a_no_takes_back_a_yes_that_waits_for_midnight():
    one, said = probe_of(AGREE), (stop(START_MS + 1_000, 2), start(START_MS + 2_000, 2), stop(START_MS + 3_000, 2))
    one.take_epoch(an_epoch(1, START_MS, END_MS, *said))
    assert counted(one.observe(batch(MIDNIGHT_MS + 5, (START_MS, 2), (MIDNIGHT_MS, 2)))) == [0]


def test_midnight_is_not_missed_when_another_says_no_at_its_stroke():
    one, said = probe_of(AGREE), (stop(START_MS, 2), start(START_MS + 1, 2), stop(MIDNIGHT_MS, 3))
    one.take_epoch(an_epoch(1, START_MS, END_MS, *said))
    assert counted(one.observe(batch(MIDNIGHT_MS + 5, (MIDNIGHT_MS - 1, 2), (MIDNIGHT_MS, 2), (MIDNIGHT_MS, 3)))) == [1]


@pytest.mark.parametrize("early", [True, False])
def test_a_yes_never_reaches_back_into_a_day_that_was_taken_back(early):
    """Nor when it comes late, after midnight, and another said no since; rows of yesterday are not late yet."""
    one, no_ms = probe_of(AGREE), MIDNIGHT_MS - 10 * MINUTE_MS
    yes = start(no_ms + MINUTE_MS, 2)
    one.take_epoch(an_epoch(1, START_MS, END_MS, stop(no_ms, 2), stop(MIDNIGHT_MS + 1, 3), *([yes] if early else [])))
    assert counted(one.observe(batch(MIDNIGHT_MS + 10, (MIDNIGHT_MS + 5, 0)))) == [0]
    one.take_epoch(an_epoch(2, START_MS, END_MS, *([] if early else [yes])))
    late = no_ms - 1, no_ms + 2 * MINUTE_MS, MIDNIGHT_MS - 1, MIDNIGHT_MS + 6
    assert counted(one.observe(batch(MIDNIGHT_MS + 20, *[(time_ms, 2) for time_ms in late]))) == [3]


def test_a_no_that_comes_late_holds_until_the_end_of_the_day_it_comes_in():
    """Of both days everything was taken back."""
    one, no_ms, tomorrow_ms = probe_of(AGREE), MIDNIGHT_MS - MINUTE_MS, MIDNIGHT_MS + 25 * 3_600_000
    one.observe(batch(MIDNIGHT_MS + 10))
    one.take_epoch(an_epoch(1, START_MS, tomorrow_ms + 99, stop(no_ms, 2), start(no_ms + 1, 2)))
    times = [no_ms + 2, MIDNIGHT_MS + 20, tomorrow_ms - 1, tomorrow_ms]
    assert counted(one.observe(batch(MIDNIGHT_MS + 20, *[(time_ms, 2) for time_ms in times[:2]]))) == []
    assert counted(one.observe(batch(tomorrow_ms, *[(time_ms, 2) for time_ms in times]))) == [3]


@pytest.mark.parametrize("basis", ["consent", "anonymous"])
def test_a_yes_of_a_minor_or_beside_a_no_is_not_heeded_and_told(basis):
    known = Consent(Subscribers(0, people()), ASKED[0], basis, KEY, ZONE)
    said = people(AGREED, AGREED, AGREED | int(NO["market_research"]), AGREED)
    said["age"][3] = MINOR
    yes = [decision(START_MS, name, row) for name, row in zip(NAMES[1:], said[1:], strict=True)]
    known.take(an_epoch(1, START_MS, END_MS, *yes, asked=(ASKED[0], basis)))
    known.advance(START_MS)
    assert known.table["person"][known.table["name"] > 0].tolist() == [7]
    assert known.counts == {"contrary": 2} and list(known.words) == ["contrary"]


# ---- any words at all


def expected(rows, decisions, given):
    """Which of (ms, who) in order of time are counted: slow, one event after the other."""
    on, denied, waiting, left, found = set(np.flatnonzero(rows["consent"])), {}, {}, deque(decisions), []
    for index, (time_ms, who) in enumerate(given):
        while left and left[0][0] <= time_ms:
            said_ms, handset, yes = left.popleft()
            for late in [one for one, at_ms in waiting.items() if at_ms <= said_ms]:
                on.add(late)
                del waiting[late]
            until_ms = denied.get(PERSONS[handset], 0)
            if yes and said_ms < until_ms:
                waiting[handset] = until_ms
            elif yes:
                on.add(handset)
            else:
                waiting.pop(handset, None)
                if handset in on:
                    on.remove(handset)
                    denied[PERSONS[handset]] = midnights_ms(said_ms, said_ms, ZONE)[1]
        for late in [one for one, at_ms in waiting.items() if at_ms <= time_ms]:
            on.add(late)
            del waiting[late]
        found += [index] if who in on else []
    return found


often = st.integers(0, 15).map(lambda k: START_MS + k * (END_MS - START_MS) // 16)  # midnight too
instants = often | st.integers(START_MS, END_MS - 1)
words = st.lists(st.tuples(instants, st.integers(0, 3), st.booleans()), max_size=12)
spoken = st.lists(st.tuples(instants, st.integers(0, 3)), max_size=40)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.sampled_from([0, AGREED]), min_size=4, max_size=4), words, spoken, st.sets(st.integers(0, 39)))
def test_whoever_says_what_when_is_counted_as_they_say_however_batches_are_cut(agreed, said, given, cuts):
    rows, said, given = people(*agreed), sorted(said, key=lambda one: one[0]), sorted(given, key=lambda one: one[0])
    decisions = [start(t, who) if yes else stop(t, who) for t, who, yes in said]
    begins_ms = range(START_MS, END_MS + 1, SLOT_MS)
    waiting = deque((begin, an_epoch(k, begin, end, *[one for one in decisions if begin <= one["time_ms"][0] < end]))
                    for k, (begin, end) in enumerate(pairwise(begins_ms), 1))
    one, parts, stream = probe_of(rows), [], heard(*given)
    for first, last in pairwise(sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})):
        watermark_ms = int(stream["time_ms"][last]) if last < len(stream) else END_MS
        for frame in frames(Batch(stream[first:last], None, None, watermark_ms), PLAN, 0, waiting):
            if epochs.is_epoch(frame):
                one.take_epoch(frame)
            else:
                parts += one.observe(events.decode(frame))
    assert not one.consent.counts
    assert counted([*parts, *one.observe(batch(END_MS))]) == expected(rows, said, given)
    times = [part.watermark_ms for part in parts]
    assert times == sorted(times)
    for part in parts:
        assert not any(map(len, part.gone)) or np.all(part.observations["time_ms"] < part.watermark_ms)
    held = one.consent.table[one.consent.table["name"] > 0]
    assert len(held) == one.consent._used == np.count_nonzero(one.consent.tags)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=120), st.integers(0, 5))
def test_the_table_finds_whoever_is_in_it_whatever_was_taken_out(steps, size):
    """Fingerprints begin in few places and share tags, so that they stand in each other's way; a set is the oracle."""
    table, tags = consent.vacant(64)
    rows, who = np.zeros(31, SUBSCRIBER), np.arange(31, dtype="u8")
    rows["person"] = who
    names = who // np.uint64(3) << np.uint64(56) | who << np.uint64(10) | who % np.uint64(size + 1) << np.uint64(3)
    names += np.uint64(1)
    inside, gone = set(), np.zeros(1, "u8")
    for put, k in steps:
        given = names[k : k + 1].copy()
        if put:
            added = consent.fill(given, rows[k : k + 1].copy(), np.zeros(1, "i8"), np.zeros(1, "?"), table, tags)
            assert added == (k not in inside)
            inside.add(k)
        else:
            taken = consent.remove(given, table, tags, gone)
            assert taken == (k in inside) and (not taken or gone[0] == k)
            inside.discard(k)
    at = np.zeros(31, "i8")
    consent.seek(names, table, tags.view("u8"), at)
    for k, name in enumerate(names):
        assert (at[k] < 0) <= (k not in inside)
        if at[k] >= 0 and table["name"][at[k]] != name:  # of the same tag
            at[k] = consent.find(name, table)
        assert (at[k] >= 0 and table["name"][at[k]] == name) == (k in inside)
    assert np.count_nonzero(tags) == len(inside) and np.array_equal(tags > 0, table["name"] > 0)
    assert not table.view("u1").reshape(64, -1)[tags == 0].any()


# ---- nobody is counted


def refused(one, *rows):
    """Whether none of (ms, who) is counted, and all are told as stale."""
    before = one.consent.counts["stale"]
    return not counted(one.observe(batch(max(t for t, _ in rows), *rows))) and (
        one.consent.counts["stale"] - before == len(rows) <= one.counts["refused"])


def test_without_an_epoch_and_after_the_end_of_the_newest_nobody_is_counted():
    one = probe_of(AGREE)
    assert refused(one, (START_MS, 2), (START_MS, 3)) and one.epoch == 0
    one.take_epoch(an_epoch(1, START_MS + 10, START_MS + SLOT_MS))
    assert refused(one, (START_MS + 9, 2)), "what was said before it is not known"
    assert counted(one.observe(batch(START_MS + 10, (START_MS + 10, 2), (START_MS + SLOT_MS - 1, 2)))) == [0, 1]
    assert refused(one, (START_MS + SLOT_MS, 2), (START_MS + SLOT_MS + 1, 3))
    assert one.epoch == 1 and len(one.consent.words) == 1 and "epoch 0" in one.consent.words["stale"]


def wrong(kind):
    """A frame that is not to be taken after epoch 1 of [START, START + SLOT)."""
    at_ms = START_MS + SLOT_MS
    if kind == "broken":
        return an_epoch(2, at_ms, END_MS, key=bytes(32))
    number = {"old": 1, "missing": 3}.get(kind, 2)
    begin_ms, end_ms = {"gap": (at_ms + 1, END_MS), "back": (START_MS - 1, END_MS), "empty": (at_ms, at_ms),
                        "reversed": (at_ms, at_ms - 1)}.get(kind, (at_ms, END_MS))
    foreign = {"purpose": {"asked": ("marketing", "consent")}, "basis": {"asked": ("market_research", "anonymous")},
               "shard": {"shard": 1, "shards": 2}, "shards": {"shards": 2}}
    return an_epoch(number, begin_ms, end_ms, **foreign.get(kind, {}))


KINDS = {**dict.fromkeys(("broken", "purpose", "basis", "shard", "shards"), "broken"), "old": "old",
         "missing": "missing", "gap": "clock", "back": "clock", "empty": "clock", "reversed": "clock"}


@pytest.mark.parametrize(("kind", "name"), KINDS.items(), ids=KINDS)
def test_an_epoch_that_cannot_be_trusted_is_not_taken_and_the_old_one_runs_out(kind, name):
    one = probe_of(AGREE)
    one.take_epoch(an_epoch(1, START_MS, START_MS + SLOT_MS))
    for _ in range(3):
        one.take_epoch(wrong(kind))
    assert one.epoch == 1 and one.consent.counts == {name: 3} and list(one.consent.words) == [name]
    assert refused(one, (START_MS + SLOT_MS, 2))
    one.take_epoch(an_epoch(2, START_MS + SLOT_MS, END_MS))
    assert counted(one.observe(batch(START_MS + SLOT_MS, (START_MS + SLOT_MS, 2)))) == [0]


@settings(deadline=None)
@given(st.binary(max_size=60), st.integers(0, 400), st.integers(0, 255))
def test_hostile_bytes_in_place_of_an_epoch_change_nothing(raw, at, byte):
    one, good = probe_of(AGREE), bytearray(an_epoch(1, START_MS, END_MS, stop(START_MS, 2), start(START_MS, 3)))
    good[at % len(good)] = byte
    for frame in (raw, epochs.BEGINS + raw, bytes(good)):
        if frame != an_epoch(1, START_MS, END_MS, stop(START_MS, 2), start(START_MS, 3)):
            one.take_epoch(frame)
    assert one.epoch == 0 and set(one.consent.counts) <= {"broken"}


def test_a_word_of_refusal_holds_no_number():
    one = probe_of(AGREE)
    one.take_epoch(an_epoch(2, START_MS, END_MS, start(START_MS, 2)))
    one.take_epoch(an_epoch(1, START_MS, END_MS, start(START_MS, 2), key=b"x"))
    refused(one, (START_MS, 2))
    told = repr(one.consent.words) + repr(one.consent)
    assert len(one.consent.words) == 3 and not any(str(FIRST + who) in told for who in range(4))


def test_a_register_that_renews_before_the_end_is_taken_and_its_words_join_those_that_wait():
    one, at_ms = probe_of(AGREE), START_MS + SLOT_MS
    one.take_epoch(an_epoch(1, START_MS, at_ms, stop(at_ms - 1, 2)))
    one.take_epoch(an_epoch(2, at_ms - 10, END_MS, stop(at_ms - 2, 3)))
    assert counted(one.observe(batch(at_ms, *[(at_ms - 3 + k, who) for k in range(3) for who in (2, 3)]))) == [0, 1, 2]


# ---- what it keeps


def bytes_of(one):
    return b"".join(array.tobytes() for array in (one.consent.table, one.consent._due, one.consent._denied))


def test_no_number_is_kept_and_of_who_may_not_be_counted_or_said_no_no_fingerprint():
    one = probe_of(people(AGREED, AGREED, AGREED, 0))
    number, name = ([int(one).to_bytes(8, "little") for one in every] for every in (FIRST + np.arange(4), NAMES))
    assert [one_name in bytes_of(one) for one_name in name] == [True, True, True, False]
    one.take_epoch(an_epoch(1, START_MS, END_MS, stop(START_MS + 5, 2)))
    old = one.consent._due
    assert name[2] in old.tobytes(), "known until then"
    one.observe(batch(START_MS + 6))
    assert name[2] not in bytes_of(one) + old.tobytes()
    assert not any(each in bytes_of(one) for each in number)


def test_who_said_no_is_forgotten_with_the_key_of_the_day():
    one = probe_of(AGREE)
    one.take_epoch(an_epoch(1, START_MS, END_MS, *[stop(START_MS + 1 + who, who) for who in range(4)]))
    one.observe(batch(START_MS + 9))
    held = one.consent._denied
    assert len(held) == 4
    one.observe(batch(MIDNIGHT_MS + LATENESS_MS))
    assert one.consent._denied is held, "of that day something may still be heard"
    one.observe(batch(MIDNIGHT_MS + LATENESS_MS + 1))
    assert not len(one.consent._denied) and not held.tobytes().strip(b"\0")


def test_a_table_that_grew_leaves_nothing_behind():
    one, many = probe_of(AGREE), np.zeros(100, SUBSCRIBER)
    held = one.consent.table
    many["subscriber"], many["person"], many["consent"] = FIRST + 10 + np.arange(100), 1_000 + np.arange(100), AGREED
    names = fingerprints(many["subscriber"], KEY)
    said = [decision(START_MS, name, row) for name, row in zip(names, many, strict=True)]
    one.take_epoch(an_epoch(1, START_MS, END_MS, *said))
    assert len(counted(one.observe(batch(START_MS, *[(START_MS, who) for who in range(200)])))) == 104
    assert not held.tobytes().strip(b"\0") and len(one.consent.table) >= 208


@pytest.mark.parametrize("basis", ["consent", "anonymous"])
def test_a_no_in_the_file_and_an_epoch_without_words_count_nobody_else(basis):
    known = Consent(Subscribers(4, people(AGREED, AGREED | int(NO["market_research"]), 0)), ASKED[0], basis, KEY, ZONE)
    known.take(an_epoch(5, START_MS, END_MS, asked=(ASKED[0], basis)))
    persons = known.table["person"][known.table["name"] > 0].tolist()
    assert persons == ([8] if basis == "anonymous" else []) and known.number == 5, "they go on from the file's"
