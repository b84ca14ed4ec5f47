"""The crowd: where everyone is now, and what each did on this local day.  Grants records to tables."""

from collections import namedtuple
from collections.abc import Iterator

import numpy as np

from collector.edge.journal import Journal
from collector.edge.kernels import retraction
from collector.edge.kernels import tallies as kernels
from collector.edge.kernels.visits import AREAS_MAX, DAY, STOP_MS
from collector.edge.merge import pages, wipe
from collector.edge.records import CLASSES, RECORD, told
from collector.edge.slots import Slots
from probe.base.clock import midnights_ms, spans

UNITS = 64  # what one person holds at any instant
LOAD, ROWS_MIN = 0.85, 1 << 10  # of the table
WEEK = np.dtype([("lower", "<u4"), ("area", "<u2", 16), ("days", "u1", 16)])  # area + 1, 0 = unused; a bit a day
# of a row: lower u4[r], half of the key, persons PERSON[r], days DAY[r, sets]; week: u8[0 or 1, r] their pseudonym of
# the week; wheel: i4[b]; sums: i8[pieces, classes, 2] units x ms and occupancy in units; areas: u2[sets, pieces]
People = namedtuple("People", "lower persons days week wheel sums areas")
# clock: (day_ms, begin_ms, length_ms, expiry_ms): UTC of the local day, the open slot in it, length of a slot, silence;
# hours, parts: u1[slots of the day]; zones: u1[sets, areas]; records: RECORD[sets, 2, room] of STEPS and TRIPS, of
# which counts i8[sets, 2] are written; cut: i8[25, 3, 2] by hour, (areas, arrivals, departures), granted or refused;
# by: i4[sets, 2, room] the row + 1 of each record; journal: u4[room], of which at[NOTED] are written; at[ROW]: whose
# turn it is
Diary = namedtuple("Diary", "clock hours parts zones records counts cut by journal at")


class Rows:
    """Rows of several arrays side by side, found by a key of 64 bits; the first array keeps half of it, "lower"."""

    def __init__(self, *kinds: tuple[tuple[int, ...], np.dtype]):
        self._kinds, self._table, self.used = kinds, np.zeros(0, "u8"), 0
        self.arrays = [np.zeros((*shape, 0), dtype) for shape, dtype in kinds]
        self.forget()

    def room_for(self, count: int) -> np.ndarray:
        """Return the table, u8[2^k], when there is room for so many more rows."""
        while self.used + count > len(self.arrays[0]):
            self._make_room(2 * len(self._table))
        return self._table

    def forget(self) -> None:
        """Forget everyone: zero the memory, then let it go."""
        wipe(*self._held())
        self.used = 0
        self._make_room(ROWS_MIN)

    def take_out(self, keys: np.ndarray) -> np.ndarray:
        """Return the rows i4[m] of those of u8[n] keys that have one; no key finds them from now on."""
        rows = np.empty(len(keys), "i4")
        retraction.take_out(keys, rows, self._table, self.arrays[0]["lower"])
        return rows[rows >= 0]

    def _held(self) -> list[np.ndarray]:
        return [array[..., : self.used] for array in self.arrays]

    def _make_room(self, table_size: int) -> None:
        """Grow the table to a power of two, and the rows to what it holds when it is full enough."""
        held, table, self._table = self._held(), self._table, pages((table_size,), np.dtype("u8"))
        self.arrays = [pages((*shape, int(LOAD * table_size)), dtype) for shape, dtype in self._kinds]
        for new, old in zip(self._held(), held, strict=True):
            new[:] = old
        if self.used:
            kernels.rehash(table, self.arrays[0]["lower"], self._table)
        wipe(*held, table)


class Crowd:
    """Everyone in the open slot, counted by piece and class; by area set what each did, granted as RECORDs.

    sets   : u2[pieces] each: the row in a set of each piece; a fix speaks of pieces
    zones  : u1[areas] each: the zone of each area of a set
    weekly : keep the areas of each pseudonym of the week
    journal : of this day: where everyone was, what they were granted
    cut    : i8[25, 3, 2]  by hour of the local day, and areas, arrivals, departures: granted, refused, in all sets
    """

    def __init__(self, slots: Slots, sets: list[np.ndarray], zones: list[np.ndarray], weekly: bool = False):
        assert slots.expiry_ms > STOP_MS, "nothing is taken back of who falls silent"
        assert slots.length_ms >= STOP_MS, "what is taken back is of this slot or the last"
        self._slots, self._slot, self._areas = slots, slots.of(slots.start_ms), np.array(sets, "u2")
        most = max(map(len, zones))
        assert most <= AREAS_MAX + 1, "areas and elsewhere: an entry holds 13 bits"
        self._zones = np.array([np.resize(zone, most) for zone in zones], "u1")
        self._sums = np.zeros((self._areas.shape[1], CLASSES, 2), "i8")
        self._wheel = np.empty(slots.expiry_ms // slots.length_ms + 2, "i4")
        person = np.dtype([("lower", "<u4"), ("now", kernels.PERSON), ("days", DAY, len(sets))])
        self._persons = Rows(((), person), ((int(weekly),), np.dtype("u8")))
        self._weeks = [Rows(((), WEEK)) for _ in sets] if weekly else []
        self.cut = np.zeros((25, 3, 2), "i8")
        self._granted = [[(np.empty(0, RECORD), np.empty(0, "i4"))] for _ in range(2 * len(sets))]
        self._room, self._by = (np.empty((len(sets), 2, 0), dtype) for dtype in (RECORD, "i4"))  # kernels write to them
        self.journal = Journal(len(self._sums), slots.length_ms)
        self._begin_day()
        self._week_ms, self._week_day = self._day_ms, 0

    def takes(self, fixes: np.ndarray) -> np.ndarray:
        """Return bool[n]: which of FIX[n] hold what one person holds; a locator may be a stranger's."""
        return kernels.sound(fixes, len(self._sums), UNITS)

    def count(self, observations: np.ndarray, fixes: np.ndarray) -> None:
        """Count OBSERVATION[n] with FIX[n], in order of time, all in the open slot."""
        table, rows = self._persons.room_for(len(fixes)), np.empty(len(fixes), "i4")
        self._persons.used, _ = self._call(kernels.count, 2 * len(rows), 2 * len(rows), observations, fixes,
                                           observations["pseudonym"], rows, table, self._persons.used)

    def retract(self, pseudonyms: np.ndarray, weeks: np.ndarray) -> None:
        """Let nothing be left of who had u8[n] pseudonyms of the day, u8[m] of the week.

        They count as if they stayed to the end of the slot; then the journal tells what to take back from tables.
        """
        rows, (persons, week) = self._persons.take_out(pseudonyms), self._persons.arrays
        self._call(retraction.go, 0, len(rows), rows)
        self.journal.gone.append((rows, persons["now"][rows]))
        link = persons["now"]["link"][rows]
        persons[rows] = week[:, rows] = 0
        persons["now"]["link"][rows] = link  # the wheel still leads through them
        for seen in self._weeks:
            seen.arrays[0][seen.take_out(weeks)] = 0

    def close(self) -> np.ndarray:
        """Return the i8[pieces, 21] person-time of the open slot, and open the next; a day's stays end with it."""
        self._call(kernels.expire, 0, self._persons.used)
        self.journal.close(self._slot, self._begin_ms, self._persons.used)
        tally = self._sums @ np.array([1, self._slots.length_ms])
        self._sums[..., 0] = 0
        if self._slots.ends_day(self._slot):
            self._call(kernels.finish, self._persons.used, 0, self._persons.used)
        self._slot += 1
        return tally

    def granted(self) -> list[np.ndarray]:
        """Return the RECORD[n] of steps of each set, then of trips, of the slot that was closed."""
        taken = [(np.concatenate([records for records, _ in written]), np.concatenate([rows for _, rows in written]))
                 for written in self._granted]
        self._granted = [one[:1] for one in self._granted]  # which is empty
        for k, by_slot in enumerate(self.journal.granted):
            by_slot[self._slot - 1] = taken[k * len(self._areas) :][: len(self._areas)]
        return [records for records, _ in taken]

    def time_of_gone(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (slot, i8[pieces, 21]) of the person-time that was told of who has gone, the last first."""
        return self.journal.time_of_gone()

    def granted_to_gone(self) -> list[np.ndarray]:
        """Return the RECORD[n] of steps of each set, then of trips, that were told of who has gone; forget them."""
        return self.journal.granted_to_gone()

    def end_day(self) -> list[np.ndarray]:
        """Return for each set the RECORD[n] of visits, a person's entries one after the other; forget everyone."""
        persons, week = (array[..., : self._persons.used] for array in self._persons.arrays)
        days = persons["days"].T
        found = [self._visits(persons["now"], entry) for entry in days["entry"]]
        for one, weeks in zip(days, self._weeks, strict=bool(self._weeks)):
            table, rows = weeks.room_for(len(one)), np.empty(len(one), "i4")
            weeks.used = kernels.find_rows(week[0], rows, table, weeks.arrays[0]["lower"], weeks.used)
            kernels.mark(one, week[0], rows, weeks.arrays[0], 1 << self._week_day)
        self._persons.forget()
        self._begin_day()
        self._week_day += 1
        return found

    def end_week(self) -> list[np.ndarray]:
        """Return for each set the RECORD[n] of weeks; forget the week."""
        found = []
        for weeks in self._weeks:
            held = weeks.arrays[0][: weeks.used]
            used = held["days"] > 0
            found.append(told(self._week_ms, held["area"][used] - 1, np.bitwise_count(held["days"][used])))
            weeks.forget()
        self._week_ms, self._week_day = self._day_ms, 0
        return found

    def _visits(self, persons: np.ndarray, entry: np.ndarray) -> np.ndarray:
        """Return the RECORD[n] of PERSON[m] and their entries u2[m, 12]."""
        used, visit = entry > 0, entry & 7 > 0
        row = np.nonzero(used)[0]
        found = told(self._day_ms, entry[used] // 8 - 1, entry[used] & 7, persons["klass"][row])
        found["rank"] = (np.cumsum(visit, axis=1, dtype="u1") - visit)[used]
        found["home"] = persons["home"][row]
        return found

    def _begin_day(self) -> None:
        """Begin the local day of the open slot with nobody in it."""
        grid, begin_ms = (self._slots.zone, self._slots.length_ms), self._slot * self._slots.length_ms
        self._day_ms, end_ms = midnights_ms(begin_ms, begin_ms, self._slots.zone)
        slots_ms = np.arange(self._day_ms, end_ms, self._slots.length_ms)
        self._hours, self._parts = (
            (np.searchsorted([first for first, _ in spans(span, self._day_ms, end_ms, *grid)], slots_ms, "right") - 1
             ).astype("u1") for span in ("hour", "part"))
        self._sums[:], self._wheel[:] = 0, kernels.END

    @property
    def _begin_ms(self) -> int:
        """Return when the open slot begins in its local day."""
        return self._slot * self._slots.length_ms - self._day_ms

    def _call(self, kernel, room: int, notes: int, *given):
        """Call a kernel on the crowd that may write `room` records of each source and set, and notes; keep those.

        Notes are what the journal is written in.
        """
        clock = self._day_ms, self._begin_ms, self._slots.length_ms, self._slots.expiry_ms
        if room > self._room.shape[2]:
            self._room, self._by = (np.empty((len(self._areas), 2, room), dtype) for dtype in (RECORD, "i4"))
        counts, at, journal = np.zeros((len(self._areas), 2), "i8"), np.zeros(2, "i8"), self.journal.room_for(notes)
        persons, week = self._persons.arrays
        people = People(persons["lower"], persons["now"], persons["days"], week, self._wheel, self._sums, self._areas)
        diary = Diary(clock, self._hours, self._parts, self._zones, self._room, counts, self.cut,
                      self._by, journal, at)
        found = kernel(*given, people, diary)
        self.journal.noted += int(at[kernels.NOTED])
        for granted, (source, s) in zip(self._granted, np.ndindex(2, len(counts)), strict=True):
            written = [array[s, source, : counts[s, source]] for array in (self._room, self._by)]
            granted.append((written[0].copy(), written[1].copy()))
            wipe(*written)
        return found
