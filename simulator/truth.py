"""The exact tables of what truly happened, of everyone, of customers, of the counted; no caps, and no track is kept.

Customers are the adults who own a handset of ours, as if all of them had said yes.  Counted is a window of time by
person.  Who says no at an instant is counted in the spans that were sealed before it, and nowhere else: the edge takes
them out of all others.  Who says yes at an instant: time, steps and trips from it on; tables of a day (a week) from
the next day (week) on.
"""

import hashlib
import sqlite3
from collections import namedtuple
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np

from probe.base import clock
from probe.wire import areas as wire
from probe.wire.consent import countable
from probe.wire.subscribers import MINOR
from simulator.kernels import move, visits
from simulator.population import Country

BEYOND_M = 20_000.0  # no way leads farther from the edge of the map
LOADS = {"cell_load": "slot, cell, events, connections", "tracking_load": "slot, tac, pages"}

COLUMNS = ("everyone", "customers", "counted")
STEPS = ("moves", "flows", "zone_flows")  # sealed a slot later than the others: steps may be taken back until then
EVER_MS = 1 << 62

# A table: slots i8[spans], the UTC number of the first 900 s of each; cells i8[spans, cells, 3], dense in the order of
# its axes, by COLUMNS.  Person-time in ms.
Kept = namedtuple("Kept", "slots cells")
# As the kernels add to it.  edges i8[spans + 1], ms since the start: when its spans begin, and the last one ends;
# sealed_ms i8[spans]: from when on nothing is taken out of it; cells i8[3, spans, cells]: of others, of customers who
# are not counted, of the counted.  A table that is not kept has no spans.
Table = namedtuple("Table", "edges sealed_ms cells")
# All that a truth can keep; profile and dwell know a class, so their everyone are the adults.
Tables = namedtuple("Tables", "presence profile moves visitors dwell origin flows zone_flows repeat")
# An area set as the kernels see it.  raster: (bins, first_column, first_row, terms); zone_of: u1[areas], of so many
# zones; primary: whether homes are areas of this set.
Ground = namedtuple("Ground", "raster zone_of zones primary")
# An area set and what is kept of it.  name: "" = the first, where people live; ground: in the frame of the first;
# tables: {one of Tables: (kind of its spans, number of its cells)}.
View = namedtuple("View", "name ground tables")


def views(sets: dict[str, wire.AreaSet], tables: dict[str, tuple[str, int]]) -> list[View]:
    """Return what to keep of area sets by name, the first is ""; tables by full name: visitors, visitors@shops."""
    (pieces, rows), zones = wire.overlay(list(sets.values())), [wire.zones(one)[0] for one in sets.values()]
    return [View(name, Ground((row[pieces.bins], *pieces.first, pieces.terms), of, int(of.max()) + 1, not name),
                 {table: tables[full] for table in Tables._fields if (full := f"{table}@{name}".rstrip("@")) in tables})
            for name, row, of in zip(sets, rows, zones, strict=True)]


def counted_persons(subscribers: np.ndarray, persons: int, purpose: str, basis: str) -> np.ndarray:
    """Return bool[persons]: adults who own a handset of ours and may be counted for the purpose."""
    may = countable(subscribers["consent"], subscribers["age"] == MINOR, subscribers["person"], purpose, basis)
    return np.isin(np.arange(persons), subscribers["person"][may])


def customers(subscribers: np.ndarray, persons: int) -> np.ndarray:
    """Return bool[persons]: adults who own a handset of ours."""
    return np.isin(np.arange(persons), subscribers["person"][subscribers["age"] != MINOR])


def always(counted: np.ndarray) -> np.ndarray:
    """Return the windows i8[n, 2] of bool[n]: all the time, or never."""
    return np.where(counted[:, None], [-EVER_MS, EVER_MS], 0)


def klasses(age: np.ndarray, gender: np.ndarray) -> np.ndarray:
    """Return u1[n]: the class of everyone, NO_CLASS of minors."""
    return np.where(age == MINOR, visits.NO_CLASS, age * 3 + gender).astype("u1")


class Truth:
    """The tables of the persons added so far.  Days are walked, added, forgotten.

    settle_ms : how long after its end the last slot of steps is sealed; of the others, and of a day's last, a slot less
    """

    def __init__(self, seed: int, country: Country, view: View, start_ms: int, end_ms: int, zone: str,
                 settle_ms: int = move.SLOT_MS + 60_000):
        self._view, self._start_ms = view, start_ms
        days = pairwise(clock.midnights_ms(start_ms, end_ms - 1, zone))
        self._days = np.array([((clock.local(begins, zone).date() - date(1970, 1, 1)).days, begins - start_ms,
                                ends - begins) for begins, ends in days], "i8")

        def table(name: str) -> Table:
            kind, cells = view.tables.get(name, ("slot", 0))
            spans = clock.spans(kind, start_ms, end_ms, zone) if cells else []
            edges = np.array([begin_ms for begin_ms, _ in spans] + [end_ms for _, end_ms in spans[-1:]], "i8")
            edges, day_ends = edges - start_ms, self._days[:, 1:].sum(axis=1)
            waits = np.isin(edges[1:], day_ends, invert=True) & (name in STEPS)
            apart = np.zeros((len(COLUMNS), len(spans), cells), "i8")
            return Table(edges, edges[1:] + settle_ms - ~waits * move.SLOT_MS, apart)

        self._tables = Tables(*map(table, Tables._fields))
        parts = int(2 * (country.reach_m + BEYOND_M) / move.PIECE_M) * move.LEGS_MAX
        self._seed, self._country, levels = seed, country, np.zeros(len(view.ground.zone_of), "u1")
        self._scratch = np.zeros(move.LEGS_MAX, move.LEG), np.zeros(parts, visits.PART), levels

    def add(self, persons: np.ndarray, windows: np.ndarray, customer: np.ndarray, klass: np.ndarray,
            home: np.ndarray) -> None:
        """Add the whole run of persons, i8[n].

        windows : i8[n, 2]  from when on and until when each is counted, ms since the start; from >= until: never
        customer, klass, home : bool[n], u1[n], and i8[n], a row of View.homes
        """
        whose = np.zeros(len(persons), visits.WHO)
        whose["customer"], whose["from_ms"], until_ms = customer, *windows.T
        whose["until_ms"] = np.where(customer & (windows[:, 0] < until_ms), until_ms, -EVER_MS)
        for first in range(0, len(self._days), 7):
            days = np.zeros((len(persons), len(self._view.ground.zone_of)), "u1")
            visits.add_week(self._seed, persons, whose, klass, home, self._days[first : first + 7], self._country,
                            self._view.ground, self._scratch, self._tables, days)

    def visits(self, person: int) -> Iterator[tuple[int, int]]:
        """Yield (begin_ms, end_ms), since the start, of every stay of a person, however short, but elsewhere."""
        (legs, room, _), ground = self._scratch, self._view.ground
        for day, midnight_ms, length_ms in self._days.tolist():
            plan = legs[: move.day_plan(self._seed, person, day, length_ms, self._country, legs)]
            way = room[: visits.way_of(plan, ground.raster, room)]
            visits.find_stops(way)
            told = way[(way["kind"] != visits.JOINED) & (way["area"] < len(ground.zone_of) - 1)]
            begins, ends = (told[name].astype("i8") + midnight_ms for name in ("begin_ms", "end_ms"))
            yield from zip(begins.tolist(), ends.tolist(), strict=True)

    def tables(self) -> dict[str, Kept]:
        """Return what is kept, by full name."""
        kept = {f"{name}@{self._view.name}".rstrip("@"): getattr(self._tables, name) for name in self._view.tables}
        return {name: Kept((its.edges[:-1] + self._start_ms) // move.SLOT_MS,
                           np.stack([*its.cells[::-1].cumsum(axis=0)[::-1]], axis=2)) for name, its in kept.items()}


def added(parts: list[dict[str, Kept]]) -> dict[str, Kept]:
    """Return the tables of shards, added."""
    return {name: Kept(slots, np.sum([part[name].cells for part in parts], axis=0))
            for name, (slots, _) in parts[0].items()}


def digest(tables: dict[str, Kept]) -> str:
    """Return SHA-256 over the names, the slots and every number, in hex."""
    found = hashlib.sha256()
    for name, (slots, cells) in sorted(tables.items()):
        found.update(f"{name} {slots.tolist()} {cells.shape} ".encode() + cells.astype("<i8").tobytes())
    return found.hexdigest()


def write(path: Path, tables: dict[str, Kept], meta: dict, **loads: np.ndarray) -> None:
    """Write truth.db: each table without its zeros, what is said of it, the load of the network; no persons.

    loads : i8[n, columns]  rows of a table of LOADS, of every shard: those of one key are added up
    """
    known = {"digest": digest(tables), **meta}
    rows: dict[str, tuple] = {"meta": ("key, value", [(key, str(known[key])) for key in sorted(known)])}
    for name, (slots, cells) in tables.items():
        span, cell = np.nonzero(cells.any(axis=2))
        lines = np.column_stack([slots[span], cell, cells[span, cell]]).tolist()
        rows[name] = ", ".join(("slot", "cell", *COLUMNS)), lines
    for name, load in loads.items():
        keys, where = np.unique(load[:, :2], axis=0, return_inverse=True)
        sums = np.zeros((len(keys), load.shape[1] - 2), "i8")
        np.add.at(sums, where.ravel(), load[:, 2:])
        rows[name] = LOADS[name], np.column_stack([keys, sums]).tolist()
    with closing(sqlite3.connect(path)) as db, db:
        for name, (columns, lines) in rows.items():
            first, second, *more = columns.split(", ")
            key = f"{first}, {second}" if more else first
            db.execute(f'CREATE TABLE "{name}" ({columns}, PRIMARY KEY ({key})) WITHOUT ROWID')
            db.executemany(f'INSERT INTO "{name}" VALUES (?, ?{", ?" * len(more)})', lines)
