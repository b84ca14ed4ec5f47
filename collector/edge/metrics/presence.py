"""Presence: person-time by area and slot."""

from math import isqrt
from typing import ClassVar

import numpy as np

from collector.edge.kernels import tallies as kernels
from collector.edge.slots import Slots
from probe.base.config import Settings

UNITS, DAY_MAX_S = 64, 90_000  # what one person holds at any instant; a local day of 25 hours
LOAD, PERSONS_MIN = 0.85, 1 << 10  # of the table


class Presence(Settings):
    """Units: person-ms x 64 by slot and area.  Conserved: a person is in one place at a time."""

    name: ClassVar[str] = "presence"
    table: ClassVar[int] = 1

    def bound_l2_units(self, slot_s: int = 900) -> int:
        """Return the L2 norm of the most that one person can add in a local day.

        At most the whole slot in each of its slots: 9,000 person-seconds for slots of 900 s.
        """
        return isqrt((slot_s * 1_000 * UNITS) ** 2 * (DAY_MAX_S // slot_s) - 1) + 1

    def build(self, area_count: int, slots: Slots) -> "PresenceTally":
        """Return the working tally; its first slot is the one that holds the start."""
        return PresenceTally(area_count, slots)


class PresenceTally:
    """Where everyone is now, and the sums of the open slot."""

    def __init__(self, area_count: int, slots: Slots):
        self._clock = slots.of(slots.start_ms) * slots.length_ms, slots.length_ms, slots.expiry_ms
        self._sums, self._occupancy = np.zeros((2, area_count), "i8")
        self._wheel = np.empty(slots.expiry_ms // slots.length_ms + 2, "i4")
        self._persons, self._table, self._used = np.zeros(0, kernels.PERSON), np.zeros(0, "u8"), 0
        self.end_day()

    def takes(self, fixes: np.ndarray) -> np.ndarray:
        """Return bool[n]: which of FIX[n] hold what one person holds; a locator may be a stranger's."""
        return kernels.sound(fixes, len(self._sums), UNITS)

    def count(self, observations: np.ndarray, fixes: np.ndarray) -> None:
        """Count OBSERVATION[n] with FIX[n], in order of time, all in the open slot."""
        while self._used + len(observations) > len(self._persons):
            self._make_room(2 * len(self._table))
        rows, self._used = kernels.find_rows(observations, self._table, self._persons, self._used)
        kernels.move(observations, fixes, rows, *self._state())

    def close(self) -> np.ndarray:
        """Return the i8[areas] tally of the open slot, and open the next."""
        begin_ms, length_ms, expiry_ms = self._clock
        kernels.expire(*self._state())
        tally = self._sums + self._occupancy * length_ms
        self._sums[:], self._clock = 0, (begin_ms + length_ms, length_ms, expiry_ms)
        return tally

    def end_day(self) -> None:
        """Forget everyone: zero the memory, then let it go."""
        for held in (self._persons[: self._used], self._table, self._occupancy):
            held.view("u1")[:] = 0
        self._wheel[:], self._used = kernels.END, 0
        self._make_room(PERSONS_MIN)

    def _state(self) -> tuple:
        return self._clock, self._persons, self._wheel, self._sums, self._occupancy

    def _make_room(self, table_size: int) -> None:
        """Grow the table to a power of two, and the rows to what it holds when it is full enough.

        Rows that nobody uses yet cost no memory: the system gives pages when they are written.
        """
        held, self._table = self._persons[: self._used], np.zeros(table_size, "u8")
        self._persons = np.zeros(int(LOAD * table_size), kernels.PERSON)
        kernels.find_rows(held, self._table, self._persons, 0)
        self._persons[: self._used] = held
        held.view("u1")[:] = 0
