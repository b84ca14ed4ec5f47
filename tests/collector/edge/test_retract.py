"""Who says no is taken out of every open span exactly, and of the memory; what is closed stays."""

import itertools
from collections import Counter
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.edge.collect import Collector
from collector.edge.crowd import Crowd, Rows
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

ZONE, SLOT_MS, MINUTE_MS, HOUR_MS, LATENESS_MS = "Europe/Berlin", 900_000, 60_000, 3_600_000, 60_000
PIECES = 9
SETS = [np.arange(PIECES, dtype="u2"), np.array([0, 0, 1, 1, 2, 2, 2, 2, 2], "u2")]
ZONES = [np.arange(PIECES, dtype="u1") % 3, np.array([0, 1, 1], "u1")]


def strange(of, number, length):
    """A table of a stranger: the same over another span."""
    return type(f"{of.__name__}By{length}", (of,), {"name": f"{of.name}_by_{length}", "table": number, "span": length})()


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

    def __init__(self, start_ms, until_ms, metrics=tuple(METRICS)):
        grid = Slots(SlotSettings(zone=ZONE), start_ms)
        tables = [[Table(metric, places(s), f"{metric.name}@{s}", 256 * s + metric.table, grid, until_ms)
                   for metric in metrics] for s in range(len(SETS))]
        self.crowd, self.span_of = Crowd(grid, SETS, ZONES, weekly=True), {
            (table.number, begin_ms // SLOT_MS): (begin_ms, end_ms)
            for one in tables for table in one for begin_ms, end_ms in table._spans}
        self.collector = Collector(grid, located, self.crowd, Scheme(None, SETS, ZONES, [], tables, 900))
        self.closed = {}

    def push(self, rows, watermark_ms):
        self.closed |= {(table, slot): tally for table, slot, tally in self.collector.push(rows, watermark_ms)}


def test_who_waits_is_refused_and_the_account_adds_up():
    start_ms = epoch_ms(datetime(2026, 6, 9), ZONE)
    edge, rows = Edge(start_ms, start_ms + HOUR_MS), np.zeros(4, OBSERVATION)
    rows["time_ms"], rows["pseudonym"] = start_ms + np.array([0, 0, 50_000, 50_000]), [1, 2, 1, 2]
    edge.push(rows, start_ms + 2 * LATENESS_MS - 20_000)
    edge.collector.retract(np.array([2, 77], "u8"), np.zeros(0, "u8"))
    assert dict(edge.collector.counts) == {"binned": 2, "refused": 1, "waiting": 1, "late": 0}
