"""The exact tables of what truly happened: person-time by slot and area, of everyone and of the counted."""

import hashlib
import sqlite3
from contextlib import closing
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np

from probe.base import clock
from probe.wire.areas import AreaSet
from probe.wire.consent import countable
from probe.wire.subscribers import MINOR
from simulator.kernels.move import LEG, LEGS_MAX, SLOT_MS, add_day
from simulator.population import Country

COLUMNS = {"presence": ("?, ?, ?, ?", "slot INTEGER, area_id TEXT, everyone_ms INTEGER NOT NULL, "
                        "counted_ms INTEGER NOT NULL, PRIMARY KEY (slot, area_id)"),
           "meta": ("?, ?", "key TEXT PRIMARY KEY, value TEXT NOT NULL"),
           "cell_load": ("?, ?, ?, ?", "slot, cell, events, connections, PRIMARY KEY (slot, cell)"),
           "tracking_load": ("?, ?, ?", "slot, tac, pages, PRIMARY KEY (slot, tac)")}


def counted_persons(subscribers: np.ndarray, persons: int, purpose: str, basis: str) -> np.ndarray:
    """Return bool[persons]: adults who own a handset of ours and may be counted for the purpose."""
    may = countable(subscribers["consent"], subscribers["age"] == MINOR, subscribers["person"], purpose, basis)
    return np.isin(np.arange(persons), subscribers["person"][may])


class Truth:
    """Person-time of the persons added so far.  No track is kept: days are walked, added, forgotten.

    presence : i8[slots, areas + 1, 2]  person-ms of everyone and of the counted; the last area is elsewhere
    """

    def __init__(self, seed: int, country: Country, areas: AreaSet, start_ms: int, end_ms: int, zone: str):
        assert start_ms % SLOT_MS == 0 and end_ms % SLOT_MS == 0, "the truth is kept by whole slots"
        self._days = [((clock.local(begins, zone).date() - date(1970, 1, 1)).days, begins - start_ms, ends - begins)
                      for begins, ends in pairwise(clock.midnights_ms(start_ms, end_ms - 1, zone))]
        self._seed, self.presence = seed, np.zeros(((end_ms - start_ms) // SLOT_MS, len(areas.area_id), 2), "i8")
        self._rest = country, (areas.bins, *areas.first, areas.terms), np.zeros(LEGS_MAX, LEG), self.presence

    def add(self, persons: np.ndarray, counted: np.ndarray) -> None:
        """Add the whole window of persons, i8[n]; counted is bool[n]."""
        for day in self._days:
            add_day(self._seed, persons, counted, *day, *self._rest)


def digest(areas: AreaSet, start_ms: int, presence: np.ndarray) -> str:
    """Return SHA-256 over the areas, the first slot and every number, in hex."""
    head = f"{areas.digest.hex()} {start_ms // SLOT_MS} {presence.shape}"
    return hashlib.sha256(head.encode() + presence.astype("<i8").tobytes()).hexdigest()


def write(path: Path, areas: AreaSet, start_ms: int, presence: np.ndarray, meta: dict, **loads: np.ndarray) -> None:
    """Write truth.db: the table and its digest, what is said of it, the load of the network; no persons.

    loads : i8[n, columns]  rows of a table of COLUMNS, of every shard: those of one key are added up
    """
    known = {"digest": digest(areas, start_ms, presence), **meta}
    by_slot = enumerate(presence.tolist(), start_ms // SLOT_MS)
    tables = {"presence": [(slot, area_id, *both_ms) for slot, by_area in by_slot
                           for area_id, both_ms in zip(areas.area_id, by_area, strict=True)],
              "meta": [(key, str(known[key])) for key in sorted(known)]}
    for table, rows in loads.items():
        keys, where = np.unique(rows[:, :2], axis=0, return_inverse=True)
        sums = np.zeros((len(keys), rows.shape[1] - 2), "i8")
        np.add.at(sums, where.ravel(), rows[:, 2:])
        tables[table] = np.column_stack([keys, sums]).tolist()
    with closing(sqlite3.connect(path)) as db, db:
        for table, lines in tables.items():
            marks, columns = COLUMNS[table]
            db.execute(f"CREATE TABLE {table} ({columns}) WITHOUT ROWID")
            db.executemany(f"INSERT INTO {table} VALUES ({marks})", lines)
