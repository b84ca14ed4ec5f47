"""Who says no is taken out of every open span exactly, and of the memory; what is closed stays."""

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.edge.collect import Collector
from collector.edge.crowd import ROWS_MIN, Crowd, Rows
from collector.edge.kernels.tallies import find_rows
from collector.edge.locators.fixes import CELL, NO_AREA, TA, UNITS
from collector.edge.metrics import Metric, Places
from collector.edge.metrics.moves import Flows, Moves, ZoneFlows
from collector.edge.metrics.presence import Presence, Profile
from collector.edge.metrics.visitors import Dwell, Origin, Repeat, Visitors
from collector.edge.scheme import Scheme
from collector.edge.slots import Slots, SlotSettings
from collector.edge.tables import Table
from probe.base.clock import epoch_ms, midnights_ms
from probe.wire.areas import ELSEWHERE
from probe.wire.observations import DETACH, OBSERVATION

ZONE, HOUR_MS, LATENESS_MS = "Europe/Berlin", 3_600_000, 60_000
PIECES = 9
SETS = [np.arange(PIECES, dtype="u2"), np.array([0, 0, 1, 1, 2, 2, 2, 2, 2], "u2")]
ZONES = [np.arange(PIECES, dtype="u1") % 3, np.array([0, 1, 1], "u1")]


def strange(of, number, length):
    """A table of a stranger: the same over another span."""
    return type(of.__name__, (of,), {"name": f"{of.name}_by_{length}", "table": number, "span": length})()


METRICS: list[Metric] = [
    Presence(), Profile(), Moves(), Visitors(), Dwell(), Origin(), Flows(), ZoneFlows(), Repeat(),
    strange(Presence, 20, "hour"), strange(Profile, 21, "day"), strange(Moves, 22, "day"), strange(Flows, 23, "slot")]


def places(number):
    rows = [(str(i), str(i)) for i in range(len(ZONES[number]) - 1)] + [(ELSEWHERE, ELSEWHERE)]
    homes = [(ELSEWHERE, ELSEWHERE), ("208", "France"), ("unknown", "unknown")]
    zones = [(f"z{i}", f"zone {i}") for i in range(int(ZONES[number].max()) + 1)]
    return Places(rows, homes, zones, ZONES[number], number == 0)


def located(observations, fixes):
    """Read the answer from the row: the piece in aoa, wholly or with the next in ta."""
    fixes["content"], fixes["area"], fixes["weight"] = np.where(observations["flags"], CELL, TA), NO_AREA, 0
    fixes["area"][:, 0], whole = observations["aoa"], observations["ta"] == 0
    fixes["area"][~whole, 1] = (observations["aoa"][~whole] + 1) % PIECES
    fixes["weight"][:, 0] = np.where(whole, UNITS, 40)
    fixes["weight"][~whole, 1] = 24


class Edge:
    """A collector of all tables over two area sets, and the crowd in it."""

    def __init__(self, start_ms, until_ms, slot_s=900):
        grid = Slots(SlotSettings(zone=ZONE, slot_s=slot_s), start_ms)
        tables = [[Table(metric, places(s), f"{metric.name}@{s}", 256 * s + metric.table, grid, until_ms)
                   for metric in METRICS] for s in range(len(SETS))]
        self.crowd, self.closed = Crowd(grid, SETS, ZONES, weekly=True), {}
        self.collector = Collector(grid, located, self.crowd, Scheme(None, SETS, ZONES, [], tables, slot_s))

    def push(self, rows, watermark_ms):
        self.closed |= {(table, slot): tally for table, slot, tally in self.collector.push(rows, watermark_ms)}


def test_who_waits_is_refused_and_the_account_adds_up():
    start_ms = epoch_ms(datetime(2026, 6, 9), ZONE)
    edge, rows = Edge(start_ms, start_ms + HOUR_MS), np.zeros(4, OBSERVATION)
    rows["time_ms"], rows["pseudonym"] = start_ms + np.array([0, 0, 50_000, 50_000]), [1, 2, 1, 2]
    edge.push(rows, start_ms + 2 * LATENESS_MS - 20_000)
    edge.collector.retract(np.array([2, 77], "u8"), np.zeros(0, "u8"))
    assert dict(edge.collector.counts) == {"binned": 2, "refused": 1, "waiting": 1, "late": 0}


# ---- against runs without those who have gone


class Stream:
    """OBSERVATION[n] of persons with the instant of arrival of each, and who says no when.

    A person who is back the next day is another one here: nothing that is still to come knows of the first.
    """

    def __init__(self, start_ms, until_ms, slot_s=900):
        self.slot_s, self.start_ms, self.until_ms, self.found, self.said_no = slot_s, start_ms, until_ms, [], {}
        self.days_ms = midnights_ms(start_ms, until_ms + 2 * HOUR_MS, ZONE)

    def say(self, who, person, time_ms, piece, kind=3, cell=0, flags=0, split=0, delay_ms=0):
        row, day = np.zeros((), OBSERVATION), sum(time_ms >= midnight_ms for midnight_ms in self.days_ms) - 1
        row["time_ms"], row["cell"], row["kind"], row["aoa"], row["flags"], row["ta"] = (
            time_ms, cell, kind, piece, flags, split)
        row["klass"], row["home"] = person * 5 % 21, person
        row["pseudonym"], row["week"] = pseudonym(person, day), pseudonym(person, day // 7 + 1_000)
        ends_ms = min(self.until_ms + LATENESS_MS, self.said_no.get(who, (1 << 62, 0))[0])  # of what arrives
        if time_ms < self.until_ms and time_ms + delay_ms < ends_ms:
            self.found.append((time_ms + delay_ms, who, row))

    def played(self, cuts_ms, without=(), shard=None):
        """The edge after all; closed: {(table, slot): (tally, who had gone by then)}."""
        edge, closed, gone = Edge(self.start_ms, self.until_ms, self.slot_s), {}, ()
        arriving = sorted((one for one in self.found if one[1] not in without), key=lambda one: one[0])
        no = {time_ms: (who, person) for who, (time_ms, person) in self.said_no.items()}
        for cut_ms in sorted({*cuts_ms, *no, self.until_ms + LATENESS_MS}):
            rows = [row for at_ms, _, row in arriving if at_ms < cut_ms]
            arriving = arriving[len(rows) :]
            rows = np.array([row for row in rows if shard is None or row["home"] % 2 == shard], OBSERVATION)
            edge.push(rows, cut_ms)
            closed |= {key: (tally, gone) for key, tally in edge.closed.items() if key not in closed}
            if cut_ms in no and shard in (None, no[cut_ms][1] % 2):
                who, person = no[cut_ms]
                days = {sum(ms >= midnight_ms for midnight_ms in self.days_ms) - 1
                        for ms in (cut_ms, max(cut_ms - LATENESS_MS, self.start_ms))}
                names = np.array([pseudonym(person, day) for day in days], "u8")
                weeks = np.array([pseudonym(person, week) for week in {day // 7 + 1_000 for day in days}], "u8")
                if who not in without:
                    edge.collector.retract(names, weeks)
                gone = (*gone, who)
        edge.closed = closed
        return edge

    def check(self, cuts_ms):
        """Every span is as in a run without the rows of those who had gone when it was closed."""
        edge, others = self.played(cuts_ms), {}
        for key, (tally, gone) in edge.closed.items():
            if gone not in others:
                others[gone] = self.played(cuts_ms, without=gone).closed
            assert np.array_equal(tally, others[gone][key][0]), (key, gone)
            counts = edge.collector.counts
        assert counts["waiting"] == 0 and sum(counts.values()) == len(self.found)
        return edge


def pseudonym(person, day):
    """Half of them differ in their upper half only."""
    return (person // 2 + 1) << 40 | (day + 1) << 20 | (person % 2) << 63 | 7


STEPS_MS = [0, 1, 20_000, 130_000, 310_000, 599_999, 600_000, 650_000, 900_000, 1_700_000, 3_600_000, 5_000_000]
LONG_MS = epoch_ms(datetime(2026, 10, 25), ZONE)  # a day of 25 hours


@st.composite
def streams(draw):
    """Three persons about a midnight or a part of a day; two say no at an instant, one of them is back the next day."""
    start_ms = LONG_MS if draw(st.booleans()) else epoch_ms(datetime(2026, 6, 9), ZONE)
    midnight_ms = midnights_ms(start_ms, start_ms + HOUR_MS, ZONE)[1]
    stream = Stream(start_ms, midnight_ms + 5 * HOUR_MS, draw(st.sampled_from([3_600, 3_600, 900])))
    hours = st.sampled_from([0, 2])
    first_ms = draw(st.one_of(hours.map(lambda hour: start_ms + hour * HOUR_MS),
                              hours.map(lambda hour: midnight_ms - (hour + 1) * HOUR_MS)))
    instants = st.one_of(
        st.integers(first_ms + 1, first_ms + 6 * HOUR_MS),
        st.sampled_from([first_ms + 5 * HOUR_MS + 30_000, first_ms + HOUR_MS, midnight_ms + LATENESS_MS,
                         midnight_ms + 30_000, midnight_ms, midnight_ms + 1]))
    no_ms = draw(st.lists(instants, min_size=1, max_size=2, unique=True))
    for person, time_ms in enumerate(no_ms, 1):
        stream.said_no[f"p{person}"] = (time_ms, person)
    for person in range(3):
        time_ms, reach = first_ms, draw(st.sampled_from([2, 4, PIECES]))
        for step_ms in draw(st.lists(st.sampled_from(STEPS_MS), max_size=14)):
            time_ms += step_ms
            back = person == 1 and time_ms >= midnight_ms > no_ms[0]
            stream.say("back" if back else f"p{person}", person, time_ms, draw(st.integers(0, reach - 1)),
                       draw(st.sampled_from([DETACH, 3, 3, 3, 3, 3])), draw(st.integers(0, 1)), draw(st.integers(0, 1)),
                       draw(st.integers(0, 1)), draw(st.sampled_from([0, 0, 30_000, 59_999, 200_000])))
    return stream


@settings(max_examples=30, deadline=None)
@given(stream=streams(), cuts=st.lists(st.integers(0, 30 * HOUR_MS), max_size=4))
def test_open_spans_are_as_if_they_had_never_been_heard_and_closed_ones_stay(stream, cuts):
    stream.check([stream.start_ms + cut for cut in cuts])


def restless(seed, start_ms, hours, no_hours, persons=6, mean_ms=700_000):
    """A stream of persons who are always on their way; the first few say no, some of them are back the next day."""
    draw, stream = np.random.default_rng(seed), Stream(start_ms, start_ms + hours * HOUR_MS)
    delays_ms = [0, 0, 0, 30_000, 59_999, 100_000]
    for person, no_hour in enumerate(no_hours):
        stream.said_no[f"p{person}"] = (start_ms + int(no_hour * HOUR_MS), person)
    for person in range(persons):
        time_ms, reach = start_ms + int(draw.integers(HOUR_MS)), int(draw.choice([2, 4, PIECES]))
        no_ms = stream.said_no.get(f"p{person}", (1 << 62, 0))[0]
        back_ms = min((midnight_ms for midnight_ms in stream.days_ms if midnight_ms > no_ms), default=1 << 62)
        while time_ms < stream.until_ms:
            stream.say(f"back{person}" if time_ms >= back_ms and person % 2 else f"p{person}", person, time_ms,
                       int(draw.integers(reach)), DETACH if draw.integers(20) == 0 else 3, int(draw.integers(2)),
                       int(draw.integers(2)), int(draw.integers(2)), int(draw.choice(delays_ms)))
            time_ms += int(draw.exponential(mean_ms)) + (5_000_000 if draw.integers(12) == 0 else 0)
    return stream


@pytest.mark.parametrize("seed", range(4))
def test_a_restless_day_of_25_hours_is_as_if_they_had_never_been_heard(seed):
    """Caps that cut; who has had enough at any hour, at the end of a part, in the first minute after midnight."""
    no_hours = np.random.default_rng(seed).uniform(0.5, 25, 2)
    stream = restless(seed, LONG_MS, 31, [*no_hours, 25 + 30 / 3_600, 5 + 45 / 3_600])
    edge = stream.check(range(LONG_MS, stream.until_ms, 2_100_000))
    assert any(tally.any() for tally, gone in edge.closed.values() if len(gone) == 4)


@pytest.mark.parametrize("gone", [0, 1])
def test_what_midnight_takes_back_is_of_whom_it_is(gone):
    """Both arrive five minutes before midnight, which was no stop in the end; one has gone half a minute after it."""
    stream = Stream(LONG_MS, LONG_MS + 26 * HOUR_MS)
    stream.said_no[f"p{gone}"] = (LONG_MS + 25 * HOUR_MS + 30_000, gone)
    for hours, piece in ((24, 1), (24.5, 1), (25 - 1 / 12, 5)):
        for person in (0, 1):
            stream.say(f"p{person}", person, LONG_MS + int(hours * HOUR_MS), piece)
    stream.check([])


def test_of_a_week_nothing_is_left_but_what_came_after():
    """Back on the day after the no: the days before it are no part of the week; no in the first minute of the next."""
    start_ms = epoch_ms(datetime(2026, 6, 8), ZONE)
    stream = restless(5, start_ms, 7 * 24 + 26, [30, 60, 7 * 24 + 30 / 3_600, 7 * 24 + 10], 5, 4_000_000)
    edge = stream.check([])
    weeks = [tally for (table, _), (tally, _) in edge.closed.items() if table % 256 == Repeat.table]
    assert len(weeks) == 2 and all(tally.any() for tally in weeks)


def test_two_shards_add_up_to_one():
    stream = restless(7, LONG_MS, 26, [3.3, 9.1, 25 + 30 / 3_600])
    whole, *shards = (stream.played([], shard=shard) for shard in (None, 0, 1))
    for key, (tally, _) in whole.closed.items():
        assert np.array_equal(tally, sum(one.closed[key][0] for one in shards)), key


def test_the_account_does_not_depend_on_how_batches_are_cut():
    stream = restless(8, LONG_MS, 10, [3.3, 4.1, 4.11])
    said = [stream.played(cuts).collector.counts
            for cuts in ([], range(LONG_MS, stream.until_ms, 10_000))]
    for one in said:
        assert one["late"] + one["binned"] + one["refused"] == len(stream.found) and one["refused"]
    fine = Stream(LONG_MS, stream.until_ms)  # nobody is late, or cuts decide who is
    fine.said_no, fine.found = stream.said_no, [(at_ms, who, row) for at_ms, who, row in stream.found
                                               if at_ms - row["time_ms"] < LATENESS_MS]
    coarse, fine = (fine.played(cuts).collector.counts for cuts in ([], range(LONG_MS, stream.until_ms, 10_000)))
    assert coarse == fine


# ---- what is left


def bytes_of(edge):
    """All arrays of an edge that hold rows, by name."""
    crowd, merge = edge.crowd, edge.collector._merge
    held = {"persons": crowd._persons.arrays[0], "weeks of persons": crowd._persons.arrays[1],
            "table": crowd._persons._table, "waiting": merge._rows, "spare": merge._spare, "ripe": merge._ripe,
            "fixes": edge.collector._fixes, "journal": crowd.journal._words, "room": crowd._room, "by": crowd._by}
    for s, weeks in enumerate(crowd._weeks):
        held |= {f"weeks {s}": weeks.arrays[0], f"table of weeks {s}": weeks._table}
    held |= {f"journal {slot}": words for slot, (_, words) in crowd.journal._closed.items()}
    return {name: array.tobytes() for name, array in held.items()}


@pytest.mark.parametrize("persons", [3, 2_000])
def test_nothing_of_them_is_left_in_memory(persons):
    """Whole pseudonyms where rows wait, halves of them where rows are found; of others all is left."""
    start_ms = epoch_ms(datetime(2026, 6, 8), ZONE)
    edge, draw = Edge(start_ms, start_ms + 48 * HOUR_MS), np.random.default_rng(1)
    names = draw.integers(1 << 62, 1 << 63, (2, persons)).astype("u8")
    for hour in (0.1, 0.6, 23.9, 24.2, 24.4, 24.41):
        rows = np.zeros(persons, OBSERVATION)
        rows["time_ms"], rows["aoa"] = start_ms + int(hour * HOUR_MS), np.arange(persons) % PIECES
        rows["pseudonym"], rows["week"] = names[0] + np.uint64(hour >= 24), names[1]
        edge.push(rows, start_ms + int(hour * HOUR_MS) + LATENESS_MS // 2)
    today = names[0] + np.uint64(1)

    def found(who):
        held, wanted = bytes_of(edge), {}
        for key in (today[who], names[1][who]):
            whole = int(key).to_bytes(8, "little")
            wanted |= {f"whole {key}": whole, f"lower half {key}": whole[:4], f"upper half {key}": whole[4:]}
        return {(what, name) for what, needle in wanted.items() for name, array in held.items() if needle in array}

    gone, stays = 1, 2
    before, others = found(gone), found(stays)
    assert {name for _, name in before} >= {"persons", "weeks of persons", "table", "waiting", "weeks 0"}
    row = np.flatnonzero(edge.crowd._persons.arrays[0]["lower"] == today[gone] & np.uint64(0xFFFFFFFF)).item()
    edge.collector.retract(today[[gone]], names[1][[gone]])
    assert found(gone) == set() and found(stays) == others
    edge.push(np.zeros(0, OBSERVATION), start_ms + 25 * HOUR_MS)
    assert edge.collector.counts["refused"] == 1
    noted, *later = (words.tolist() for _, words in edge.crowd.journal._closed.values())
    assert sorted(noted[1::2]) == [0, *(k + 1 for k in range(persons) if k != row)], "until when each was nowhere"
    assert later == [[0, 1, 0], []], "a note of one piece, wherever it was"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40)), max_size=120))
def test_a_table_that_keys_are_taken_out_of_finds_the_others(deeds):
    """Keys that fall on a few places, at the end of the table too, put in and taken out in any order; then it grows."""
    rows, row_of = Rows(((), np.dtype([("lower", "<u4")]))), {}

    def put(key):
        table, found = rows.room_for(1), np.empty(1, "i4")
        rows.used = find_rows(np.array([key], "u8"), found, table, rows.arrays[0]["lower"], rows.used)
        return found.item()

    for wanted, number in deeds:
        key = (number // 7 << 40) + (number % 3 << 20) + ROWS_MIN - 5 + number % 10
        if wanted:
            row = put(key)
            assert row_of.setdefault(key, row) == row
        else:
            assert rows.take_out(np.array([key], "u8")).tolist() == ([row_of.pop(key)] if key in row_of else [])
    for _ in range(2):
        assert np.count_nonzero(rows._table) == len(row_of)
        used = rows.used
        assert [put(key) for key in row_of] == list(row_of.values()) and rows.used == used
        rows._make_room(2 * len(rows._table))
