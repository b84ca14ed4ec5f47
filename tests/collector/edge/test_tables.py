"""All tables of two area sets against a slow recount from the raw rows, for one shard and for two."""

import functools
import itertools
from collections import Counter
from datetime import datetime

import numpy as np
import pytest

from collector.edge.crowd import Crowd
from collector.edge.locators.fixes import FIX
from collector.edge.metrics import Places
from collector.edge.metrics.moves import Flows, Moves, ZoneFlows
from collector.edge.metrics.presence import Presence, Profile
from collector.edge.metrics.visitors import Dwell, Origin, Repeat, Visitors
from collector.edge.slots import Slots, SlotSettings
from collector.edge.tables import Table, Tables
from probe.base import clock
from probe.base.clock import epoch_ms, midnights_ms
from probe.wire.areas import ELSEWHERE
from probe.wire.cells import HOME_ABROAD
from probe.wire.observations import NO_HOME, OBSERVATION
from tests import oracles_count as oracle

SLOT_MS, EXPIRY_MS, PIECES = 900_000, 3_600_000, 9
SETS = [np.arange(PIECES, dtype="u2"), np.array([0, 0, 1, 1, 2, 2, 2, 2, 2], "u2")]
ZONES = [np.arange(PIECES, dtype="u1") % 3, np.array([0, 1, 1], "u1")]
METRICS = [Presence(), Profile(), Moves(), Visitors(), Dwell(), Origin(), Flows(), ZoneFlows(), Repeat()]
spans = functools.cache(clock.spans)
STEPS_MS = [1, 60_000, 119_999, 120_001, 300_000, 450_000, 900_000, 3_599_999, 3_600_001, 7_200_000]
RUNS = [("Europe/Berlin", (2026, 10, 24), 8, 3), ("Europe/Berlin", (2026, 3, 28, 15), 8, 20),
        ("America/St_Johns", (2026, 10, 31), 2, 2)]


def places(number):
    rows = [[(str(i), str(i)) for i in range(len(zone) - 1)] + [(ELSEWHERE, ELSEWHERE)] for zone in ZONES]
    zones = [(f"z{i}", f"zone {i}") for i in range(int(ZONES[number].max()) + 1)]
    homes = [*rows[0], ("208", "France"), ("unknown", "unknown")]
    return Places(rows[number], homes, zones, ZONES[number], number == 0)


def random_rows(seed, start_ms, until_ms, persons=4):
    draw, found = np.random.default_rng(seed), []
    homes = [0, 4, HOME_ABROAD, NO_HOME]
    for person in range(persons):
        time_ms, reach = start_ms + int(draw.integers(3_600_000)), [2, 4, PIECES, PIECES][person]
        while time_ms < until_ms:
            piece, gone = int(draw.integers(reach)), draw.integers(20) == 0
            other = (piece + 1) % PIECES
            found.append({"time_ms": time_ms, "person": person, "kind": 2 if gone else 10, "cell": 0, "content": 2,
                          "units": {piece: 64} if draw.integers(4) else {piece: 40, other: 24},
                          "klass": (person * 7 + 1) % 21, "home": homes[person]})
            time_ms += int(draw.choice(STEPS_MS))
    return sorted(found, key=lambda row: (row["time_ms"], row["person"]))


def tallied(rows, zone, start_ms, until_ms):
    """{(set, table): {(slot its span begins with, *rows of its axes): tally}} of what a crowd and its tables say."""
    slots = Slots(SlotSettings(zone=zone), start_ms)
    crowd = Crowd(slots, SETS, ZONES, weekly=True)
    tables = [[Table(metric, places(s), metric.name, 256 * s + metric.table, slots, until_ms) for metric in METRICS]
              for s in range(len(SETS))]
    by_number, both = {table.number: table for one in tables for table in one}, Tables(crowd, SETS, tables, slots)
    observations, fixes = np.zeros(len(rows), OBSERVATION), np.zeros(len(rows), FIX)
    for one, fix, row in zip(observations, fixes, rows, strict=True):
        one["pseudonym"], one["week"] = 1 + row["person"], 1 + row["person"]
        for name in ("time_ms", "cell", "kind", "klass", "home"):
            one[name] = row[name]
        fix["content"] = row["content"]
        for k, (piece, weight) in enumerate(row["units"].items()):
            fix["area"][k], fix["weight"][k] = piece, weight
    given, dues = {}, []
    for slot in range(start_ms // SLOT_MS, until_ms // SLOT_MS + 1):
        these = observations["time_ms"] // SLOT_MS == slot
        crowd.count(observations[these], fixes[these])
        for number, begins, tally in both.close(slot):
            table = by_number[number]
            shape, cells = [len(rows) for rows in table.axes.values()], np.flatnonzero(tally)
            index = np.stack(np.unravel_index(cells, shape), 1).tolist()
            given.setdefault((number // 256, table.name), Counter()).update(
                {(begins, *at): value for at, value in zip(index, tally[cells].tolist(), strict=True)})
            dues.append((number, begins))
    assert sorted(dues) == sorted((number, slot) for number, table in by_number.items() for slot in table.span_slots)
    return given


def recount(rows, zone, start_ms, until_ms, s):
    """The same for one set, person by person and day by day, with hindsight."""
    days_ms, of_piece, here = midnights_ms(start_ms, until_ms, zone), SETS[s].tolist(), len(ZONES[s])
    found, weeks = {metric.name: Counter() for metric in METRICS}, {}

    def add(metric, time_ms, *cell, value=1):
        whole = [begin for begin, end in spans(metric.span, start_ms, until_ms, zone) if begin <= time_ms < end]
        if whole:
            found[metric.name][whole[0] // SLOT_MS, *cell] += value

    def index(span, time_ms):
        day = max(day for day in days_ms if day <= time_ms)
        return [begin for begin, _ in spans(span, day, day + 90_000_000, zone) if begin <= time_ms][-1]

    for mine, first_ms, last_ms in oracle.person_days(rows, days_ms):
        klass, home, person = mine[0]["klass"], mine[0]["home"], mine[0]["person"]
        today = range(first_ms // SLOT_MS, last_ms // SLOT_MS)
        for slot, pieces in oracle.presence(mine, [first_ms, last_ms], EXPIRY_MS, SLOT_MS, today, PIECES).items():
            for piece in np.flatnonzero(pieces).tolist():
                add(METRICS[0], slot * SLOT_MS, of_piece[piece], value=int(pieces[piece]))
                add(METRICS[1], slot * SLOT_MS, of_piece[piece], klass // 3, klass % 3, value=int(pieces[piece]))
        stays = oracle.stays(mine, last_ms, EXPIRY_MS, of_piece)
        steps, trips, visits, _ = oracle.day_of_person(
            stays, SLOT_MS, lambda t: index("hour", t), lambda t: index("part", t), ZONES[s])
        for time_ms, area, what in steps:
            add(METRICS[2], time_ms, area, what)
        for time_ms, area, origin, bits in trips:
            if bits & 1:
                add(METRICS[6], time_ms, origin, area)
            if bits & 2:
                add(METRICS[7], time_ms, int(ZONES[s][origin]), int(ZONES[s][area]))
        for area, level, rank in visits:
            role = 0 if s == 0 and home == area else 1 if level == 5 else 2 if level else 3
            add(METRICS[3], first_ms, area, role)
            add(METRICS[4], first_ms, area, min(level, 4), klass % 3)
            lives = home if home < PIECES else PIECES if home == HOME_ABROAD else PIECES + 1
            if level and rank < 8:
                add(METRICS[5], first_ms, lives, area)
            held = weeks.setdefault((person, days_ms.index(first_ms) // 7), {})
            if level and (area in held or len(held) < 16):
                held[area] = held.get(area, 0) + 1
    for (_, week), held in weeks.items():
        for area, count in held.items():
            assert area < here
            add(METRICS[8], max(days_ms[7 * week], start_ms if week else 0), area, [0, 0, 1, 2, 2, 3, 3, 3][count])
    return found


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_all_tables_equal_a_slow_recount(run):
    """A week and a bit with a day of 25 hours; a run that begins and ends inside days; half an hour off the grid."""
    zone, date, days, hours = run
    start_ms = epoch_ms(datetime(*date), zone)
    until_ms = start_ms + (days * 24 + hours) * 3_600_000
    rows = random_rows(days + hours, start_ms, until_ms)
    whole = tallied(rows, zone, start_ms, until_ms)
    for s in range(len(SETS)):
        for name, wanted in recount(rows, zone, start_ms, until_ms, s).items():
            assert whole.get((s, name), Counter()) == wanted, (s, name)
            assert wanted or name == "repeat"
    shards = [tallied([row for row in rows if row["person"] % 2 == odd], zone, start_ms, until_ms) for odd in (0, 1)]
    for key in set(itertools.chain(*shards)):
        assert sum((one.get(key, Counter()) for one in shards), Counter()) == whole[key]
