"""From events to observations: check, ask for consent, replace the identity.  No I/O."""

from typing import Literal, NamedTuple

import numpy as np

from probe import consent, identity, tap
from probe.base.config import RunError, Settings
from probe.base.jit import kernel
from probe.base.packing import Batch, require
from probe.base.tally import Tally
from probe.wire.events import REFUSES
from probe.wire.observations import OBSERVATION

PASSED, INVALID, LATE, STALE, REFUSED = range(5)  # fates of an event; stale: nothing says who may be counted then
# What is heard is the same 32 bytes in an EVENT and an OBSERVATION: copied as four words.
SAID, MADE = (np.dtype([("time_ms", "<i8"), (who, "<u8"), ("heard", "<u8", (4,)), *rest]) for who, rest in (
    ("subscriber", []), ("pseudonym", [("home", "<u2"), ("klass", "u1"), ("week", "<u8")])))
BLOCK, LEAP_MAX_MS = 2_048, 8 * 86_400_000  # no tap is silent for a week: an idle one still tells the time


class ProbeSettings(Settings):
    """What the tap hears: the cell alone, what a trace holds, or periodic reports too."""

    grade: Literal["core", "trace", "mdt"] = "trace"


class Part(NamedTuple("Part", [("observations", np.ndarray), ("watermark_ms", int),
                               ("gone", tuple[np.ndarray, np.ndarray])])):
    """Observations up to an instant, and who must be forgotten then.

    gone : u8[n], u8[m] pseudonyms of those who said no, of every day and of every week whose key is still held
    """


class Probe:
    """Events and epochs in, observations out; nothing behind it sees an identity, and nothing tells one."""

    def __init__(self, plan_digest: bytes, cell_count: int, consent: consent.Consent, keys: identity.Keys,
                 start_ms: int, shard=0, weeks: identity.Keys | None = None):
        self._plan_digest, self._shard, self._cell_count, self._weeks = plan_digest, shard, cell_count, weeks
        self.consent, self._keys, self.watermark_ms, self.counts = consent, keys, start_ms, Tally()

    @property
    def epoch(self) -> int:
        """Return the number of the newest epoch taken."""
        return self.consent.number

    def take_epoch(self, frame: bytes) -> None:
        """Take an epoch, or count why not."""
        self.consent.take(frame)

    def observe(self, batch: Batch) -> list[Part]:
        """Return the observations of those who may be counted, cut where somebody stops; count the rest in `counts`.

        A word takes effect when the watermark reaches it, whatever is heard ahead of it: of who says no then, `gone`
        takes back what waits.
        Raises WireError for a shard of others and a watermark that leaps, RunError for a tap of another plan.
        """
        require(batch.shard == self._shard, f"event batch: shard {batch.shard} at worker {self._shard}")
        if batch.plan_digest != self._plan_digest:
            raise RunError("tap and edge hold different plans; give both the same plan.csv")
        leap_ms, before_ms = batch.watermark_ms - self.watermark_ms, self.watermark_ms
        require(leap_ms <= LEAP_MAX_MS, "event batch: the watermark leaps by more than 8 days")
        self.watermark_ms = max(self.watermark_ms, batch.watermark_ms)
        rows, latest_ms, parts = batch.rows, self.watermark_ms + tap.AHEAD_MS, []
        for keys in filter(None, (self._keys, self._weeks)):
            keys.hold(0, latest_ms)
        if len(late := self.consent.advance(before_ms)):  # of an epoch that came late
            parts.append(Part(np.zeros(0, OBSERVATION), before_ms, self._names(late)))
        while (stop_ms := self.consent.next_ms()) <= self.watermark_ms:
            self.consent.advance(stop_ms - 1)
            earlier = rows["time_ms"] < stop_ms
            count = int(np.count_nonzero(earlier))
            if not earlier[:count].all():  # seldom: a tap speaks in order of time
                rows = rows[np.argsort(~earlier, kind="stable")]
            found, rows = self._admitted(rows[:count], latest_ms), rows[count:]
            parts.append(Part(found, stop_ms, self._names(self.consent.advance(stop_ms))))
        self.consent.advance(self.watermark_ms)
        parts.append(Part(self._admitted(rows, latest_ms), self.watermark_ms, 2 * (consent.NOBODY,)))
        for keys in filter(None, (self._keys, self._weeks)):
            keys.hold(self.watermark_ms, latest_ms)
        self.consent.forget(int(self._keys.midnights_ms[0]))
        return parts

    def _admitted(self, events: np.ndarray, latest_ms: int) -> np.ndarray:
        """Return OBSERVATION[m] of EVENT[n]."""
        events, count = events.view(), len(events)
        events.flags.writeable = False  # one signature for arrays from frames and from tests
        observations, person, day = np.empty(count, OBSERVATION), np.empty(count, "u8"), np.empty(count, "i8")
        fates, limits = np.zeros(5, "i8"), (self._cell_count, latest_ms, self.consent.since_ms, self.consent.until_ms)
        names = self.consent.names(events["subscriber"])
        admit(events, events.view(SAID), names, limits, self.consent.table, self.consent.tags.view("u8"),
              self._keys.midnights_ms, observations.view(MADE), person, day, fates)
        consent.wipe(names)
        passed, invalid, late, stale, refused = fates.tolist()
        observations["pseudonym"][:passed] = identity.pseudonyms(person[:passed], day[:passed], self._keys.keys)
        if self._weeks:
            week = np.searchsorted(self._weeks.midnights_ms, observations["time_ms"][:passed], "right") - 1
            weekly = identity.pseudonyms(person[:passed], week, self._weeks.keys)
            weekly *= observations["week"][:passed]  # not the other way round: numpy would copy pseudonyms to a buffer
            observations["week"][:passed] = weekly
        self.counts += Tally(offered=count, invalid=invalid, late=late, refused=refused + stale)
        self.consent.note("stale", f"nobody was counted at times after epoch {self.epoch}, the newest here; "
                                   "is the register running?", stale)
        return observations[:passed]

    def _names(self, persons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the pseudonyms of u8[n] persons of every day, and of every week, whose key is held."""
        def under(keys: identity.Keys | None) -> np.ndarray:
            if not keys or not len(persons):
                return consent.NOBODY
            span = np.repeat(np.arange(count := len(keys.keys)), len(persons))
            return identity.pseudonyms(np.tile(persons, count), span, keys.keys)

        return under(self._keys), under(self._weeks)


@kernel
def admit(events, said, names, limits, counted, words, midnights_ms, observations, person, day, fates):
    """Write an observation without its pseudonym for each event that may be counted; return nothing of meaning.

    events       : EVENT[n];  said : the same as SAID[n];  names : u8[n], fingerprints of their subscribers
    limits       : i8[4]       rows of the plan; time from which a clock is wrong; from when until when it is known
                               who may be counted
    counted      : COUNTED[2^k], with their tags in words, u8[2^k / 8]
    midnights_ms : i8[d + 1]   of the local days; before the first the keys are gone
    observations : OBSERVATION[n] out, as MADE[n]
    person, day  : u8[n], i8[n] out: who it was, and on which day, for `pseudonyms`
    fates        : i8[5] out   how many met each fate; the first PASSED rows are written

    By blocks, so that what `seek` found is still near; hardly a branch: what is refused is overwritten by the next.
    """
    out, touched, at = 0, np.uint64(0), np.empty(BLOCK, np.int64)
    for first in range(0, len(events), BLOCK):
        some, named = events[first : first + BLOCK], names[first : first + BLOCK]
        touched ^= consent.seek(named, counted, words, at)
        for i in range(len(some)):
            event, who, one, fate = some[i], counted[max(at[i], 0)], observations[out], PASSED
            if (at[i] >= 0) & (who.name != named[i]):  # seldom: of the same tag
                who = counted[consent.find(named[i], counted)]
            known = (who.name == named[i]) & (named[i] != 0) & (event.time_ms >= who.from_ms)
            fate = fate if known & (event.flags & REFUSES == 0) else REFUSED
            fate = STALE if (event.time_ms < limits[2]) | (event.time_ms >= limits[3]) else fate
            fate = LATE if event.time_ms < midnights_ms[0] else fate
            fate = fate if tap.sound(event, limits[0], limits[1]) else INVALID
            person[out], day[out] = who.person, 0
            for midnight in range(1, len(midnights_ms) - 1):
                day[out] += event.time_ms >= midnights_ms[midnight]
            one.time_ms, one.home, one.klass = event.time_ms, who.home, who.klass
            one.week = who.weekly  # 1 where a pseudonym of the week takes its place
            for k in range(4):
                one.heard[k] = said[first + i].heard[k]
            fates[fate] += 1
            out += fate == PASSED
    return touched
