"""The exact tables of what truly happened: person-time by slot and area, of everyone and of the counted."""

import hashlib
import sqlite3
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np

from probe.base import clock
from probe.wire.areas import AreaSet
from probe.wire.consent import countable
from probe.wire.subscribers import MINOR
from simulator.kernels.move import LEG, LEGS_MAX
from simulator.kernels.presence import SLOT_MS, add_day
from simulator.population import Country

EPOCH = date(1970, 1, 1)


def counted_persons(subscribers: np.ndarray, persons: int, purpose: str, basis: str) -> np.ndarray:
    """Return bool[persons]: adults who own a handset of ours and may be counted for the purpose."""
    counted = np.zeros(persons, bool)
    may = countable(subscribers["consent"], subscribers["age"] == MINOR, purpose, basis)
    counted[subscribers["person"][may]] = True
    return counted


class Truth:
    """Person-time of the persons added so far.  No track is kept: days are walked, added, forgotten.

    presence : i8[slots, areas + 1, 2]  person-ms of everyone and of the counted; the last area is elsewhere
    """

    def __init__(self, seed: int, country: Country, areas: AreaSet, start_ms: int, end_ms: int, zone: str):
        assert start_ms % SLOT_MS == 0 and end_ms % SLOT_MS == 0, "the truth is kept by whole slots"
        self._seed = seed
        self._days = [((clock.local(begins, zone).date() - EPOCH).days, begins - start_ms, ends - begins)
                      for begins, ends in pairwise(clock.midnights_ms(start_ms, end_ms - 1, zone))]
        self.presence = np.zeros(((end_ms - start_ms) // SLOT_MS, len(areas.area_id), 2), "i8")
        self._rest = country, (areas.bins, *areas.first, areas.terms), np.zeros(LEGS_MAX, LEG), self.presence

    def add(self, persons: np.ndarray, counted: np.ndarray) -> None:
        """Add the whole window of persons, i8[n]; counted is bool[n]."""
        for day in self._days:
            add_day(self._seed, persons, counted, *day, *self._rest)


def digest(areas: AreaSet, start_ms: int, presence: np.ndarray) -> str:
    """Return SHA-256 over the areas, the first slot and every number, in hex."""
    head = f"{areas.digest.hex()} {start_ms // SLOT_MS} {presence.shape}"
    return hashlib.sha256(head.encode() + presence.astype("<i8").tobytes()).hexdigest()


def write(path: Path, areas: AreaSet, start_ms: int, presence: np.ndarray, meta: dict) -> None:
    """Write truth.db: presence(slot, area_id, everyone_ms, counted_ms), meta(key, value); no persons."""
    rows = ((slot, area_id, *person_ms) for slot, by_area in enumerate(presence.tolist(), start_ms // SLOT_MS)
            for area_id, person_ms in zip(areas.area_id, by_area, strict=True))
    known = {"digest": digest(areas, start_ms, presence), **meta}
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE presence (slot INTEGER, area_id TEXT, everyone_ms INTEGER NOT NULL, "
                   "counted_ms INTEGER NOT NULL, PRIMARY KEY (slot, area_id)) WITHOUT ROWID")
        db.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
        db.executemany("INSERT INTO presence VALUES (?, ?, ?, ?)", rows)
        db.executemany("INSERT INTO meta VALUES (?, ?)", [(key, str(known[key])) for key in sorted(known)])
    db.close()
