"""Presence: person-time by area and slot."""

from math import isqrt
from typing import ClassVar

import numpy as np

from collector.edge.kernels import tallies as kernels
from collector.edge.slots import Slots
from probe.base.config import Settings

UNITS = 64  # what one person holds at any instant
DAY_MAX_S = 90_000  # a local day of 25 hours
LOAD = 0.85
PERSONS_MIN = 1 << 10


class Presence(Settings):
    """Person-ms x 64 by slot and area.  Conserved: a person is in one place at a time."""

    name: ClassVar[str] = "presence"
    table: ClassVar[int] = 1
    unit: ClassVar[str] = "person-ms x 64"

    def bound_l2_units(self, slot_s: int = 900) -> int:
        """Return the L2 norm of the most that one person can add in a local day.

        At most the whole slot in each of its slots: 9,000 person-seconds for slots of 900 s.
        """
        squared = (slot_s * 1_000 * UNITS) ** 2 * (DAY_MAX_S // slot_s)
        return isqrt(squared - 1) + 1

    def build(self, area_count: int, slots: Slots) -> "PresenceTally":
        """Return the working tally; its first slot is the one that holds the start."""
        return PresenceTally(area_count, slots)


class PresenceTally:
    """Where everyone is now, and the sums of the open slot."""

    def __init__(self, area_count: int, slots: Slots):
        self._length_ms, self._expiry_ms = slots.length_ms, slots.expiry_ms
        self._slot = slots.of(slots.start_ms)
        self._sums, self._occupancy = np.zeros(area_count, "i8"), np.zeros(area_count, "i8")
        self._wheel = np.full(slots.expiry_ms // slots.length_ms + 2, kernels.END, "i4")
        self._used = 0
        self._persons, self._link = np.zeros(0, kernels.PERSON), np.zeros(0, "i4")
        self._make_room(PERSONS_MIN)

    def count(self, observations: np.ndarray, fixes: np.ndarray) -> None:
        """Count OBSERVATION[n] with FIX[n], in order of time, all in the open slot."""
        rows = np.empty(len(observations), "i4")
        done = 0
        while done < len(rows):
            done, self._used = kernels.find_rows(
                observations, done, self._table, self._persons, self._used, rows
            )
            if done < len(rows):
                self._make_room(2 * len(self._table))
        kernels.move(
            observations, fixes, rows, self._clock(), self._persons, self._link, self._wheel,
            self._sums, self._occupancy,
        )  # fmt: skip

    def close(self) -> np.ndarray:
        """Return the i8[areas] tally of the open slot, and open the next."""
        tally = np.empty(len(self._sums), "i8")
        kernels.close(
            self._slot, self._clock(), self._persons, self._link, self._wheel,
            self._sums, self._occupancy, tally,
        )  # fmt: skip
        self._slot += 1
        return tally

    def end_day(self) -> None:
        """Forget everyone: zero the memory, then let it go."""
        for held in (self._persons[: self._used], self._link, self._table, self._occupancy):
            held[:] = np.zeros((), held.dtype)
        self._wheel[:] = kernels.END
        self._used = 0
        self._make_room(PERSONS_MIN)

    def _clock(self) -> tuple[int, int, int]:
        return self._slot * self._length_ms, self._length_ms, self._expiry_ms

    def _make_room(self, table_size: int) -> None:
        """Grow the table to a power of two, and the rows to what it holds when it is full enough.

        Rows that nobody uses yet cost no memory: the system gives pages when they are written.
        """
        persons = np.zeros(int(LOAD * table_size), kernels.PERSON)
        link = np.zeros(len(persons), "i4")
        persons[: self._used], link[: self._used] = self._persons[: self._used], self._link[: self._used]
        self._persons[: self._used] = np.zeros((), kernels.PERSON)
        self._persons, self._link, self._table = persons, link, np.zeros(table_size, "u8")
        kernels.rehash(self._persons, self._used, self._table)
