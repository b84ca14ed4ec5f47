"""From events to observations: check, ask for consent, replace the identity.  No I/O."""

from typing import Literal

import numpy as np

from probe import consent, identity, tap
from probe.base.config import RunError, Settings
from probe.base.jit import kernel
from probe.base.packing import Batch, require
from probe.base.tally import Tally
from probe.wire.observations import OBSERVATION

PASSED, INVALID, LATE, REFUSED = range(4)  # fates of an event
LEAP_MAX_MS = 8 * 86_400_000  # no tap is silent for a week: an idle one still tells the time


class ProbeSettings(Settings):
    """What the tap hears: the cell alone, what a trace holds, or periodic reports too."""

    grade: Literal["core", "trace", "mdt"] = "trace"


class Probe:
    """Events in, observations out; nothing behind it sees an identity, and nothing tells one."""

    def __init__(self, plan_digest: bytes, cell_count: int, counted, keys: identity.Keys, start_ms: int, shard=0,
                 weeks: identity.Keys | None = None):
        self._plan_digest, self._shard, self._cell_count, self._weeks = plan_digest, shard, cell_count, weeks
        self._counted, self._keys, self.watermark_ms, self.counts = counted, keys, start_ms, Tally()

    def observe(self, batch: Batch) -> np.ndarray:
        """Return OBSERVATION[m] of those who may be counted; count everyone else in `counts`.

        Raises WireError for a shard of others and a watermark that leaps, RunError for a tap of another plan.
        """
        require(batch.shard == self._shard, f"event batch: shard {batch.shard} at worker {self._shard}")
        if batch.plan_digest != self._plan_digest:
            raise RunError("tap and edge hold different plans; give both the same plan.csv")
        leap_ms = batch.watermark_ms - self.watermark_ms
        require(leap_ms <= LEAP_MAX_MS, "event batch: the watermark leaps by more than 8 days")
        self.watermark_ms = max(self.watermark_ms, batch.watermark_ms)
        latest_ms, events, count = self.watermark_ms + tap.AHEAD_MS, batch.rows.view(), len(batch.rows)
        events.flags.writeable = False  # one signature for arrays from frames and from tests
        self._keys.hold(0, latest_ms)
        at, person, day = np.empty(count, "i8"), np.empty(count, "u8"), np.empty(count, "i8")
        observations, fates = np.empty(count, OBSERVATION), np.zeros(4, "i8")
        seek(events, self._counted, at)
        admit(events, (self._cell_count, latest_ms), at, self._counted, self._keys.midnights_ms,
              observations, person, day, fates)
        passed, invalid, late, refused = fates.tolist()
        observations["pseudonym"][:passed] = identity.pseudonyms(person[:passed], day[:passed], self._keys.keys)
        if self._weeks:
            self._weeks.hold(0, latest_ms)
            week = np.searchsorted(self._weeks.midnights_ms, observations["time_ms"][:passed], "right") - 1
            weekly = identity.pseudonyms(person[:passed], week, self._weeks.keys)
            weekly *= observations["week"][:passed]  # not the other way round: numpy would copy pseudonyms to a buffer
            observations["week"][:passed] = weekly
            self._weeks.hold(self.watermark_ms, latest_ms)
        self._keys.hold(self.watermark_ms, latest_ms)
        self.counts += Tally(offered=count, invalid=invalid, late=late, refused=refused)
        return observations[:passed]


@kernel
def seek(events, counted, at):
    """Write where the search for each subscriber begins; return nothing of meaning.

    Touches that entry without a branch, so that many misses of the cache are on their way
    at once; `admit` then finds them near.  A random entry of 1e6 costs 14 ns so, else 40.
    """
    touched = np.uint64(0)
    for i in range(len(events)):
        at[i] = consent.start(events[i].subscriber, counted)
        touched ^= counted[at[i]].subscriber
    return touched


@kernel
def admit(events, limits, at, counted, midnights_ms, observations, person, day, fates):
    """Write an observation without its pseudonym for each event that may be counted.

    events       : EVENT[n]
    limits       : (i8, i8)    rows of the plan; time from which a clock is wrong
    at           : i8[n]       where the search for each subscriber begins
    counted      : COUNTED[2^k]
    midnights_ms : i8[d + 1]   of the local days; before the first the keys are gone
    observations : OBSERVATION[n] out
    person, day  : u8[n], i8[n] out: who it was, and on which day, for `pseudonyms`
    fates        : i8[4] out   how many met each fate; the first PASSED rows are written
    """
    for i in range(len(events)):
        event = events[i]
        who = counted[consent.find(event.subscriber, counted, at[i])]
        fate = (INVALID if not tap.sound(event, limits[0], limits[1]) else LATE if event.time_ms < midnights_ms[0] else
                REFUSED if who.subscriber == 0 else PASSED)
        out, fates[fate] = fates[PASSED], fates[fate] + 1
        if fate == PASSED:
            one, person[out], day[out] = observations[out], who.person, 0
            one.time_ms, one.home, one.klass, one.rsrp[7] = event.time_ms, who.home, who.klass, event.rsrp[7]
            one.week = who.weekly  # 1 where a pseudonym of the week takes its place
            one.cell, one.kind, one.flags, one.ta, one.aoa = event.cell, event.kind, event.flags, event.ta, event.aoa
            for k in range(7):
                one.rsrp[k], one.neighbour_pci[k] = event.rsrp[k], event.neighbour_pci[k]
            while event.time_ms >= midnights_ms[day[out] + 1]:
                day[out] += 1
