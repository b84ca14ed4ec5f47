"""From events to observations: check, ask for consent, replace the identity.  No I/O."""

from typing import Literal

import numpy as np

from probe.base.config import Settings
from probe.base.jit import kernel
from probe.base.main import RunError
from probe.base.packing import WireError
from probe.base.tally import Tally
from probe.consent import find, start
from probe.identity import Keys, pseudonyms
from probe.tap import AHEAD_MS, sound
from probe.wire.events import Batch
from probe.wire.observations import OBSERVATION

FATES = ("passed", "invalid", "late", "refused")
PASSED, INVALID, LATE, REFUSED = range(4)
SHARED_FROM, SHARED_TO = 16, 48  # cell to angle of arrival stand in the same bytes of both formats
LEAP_MAX_MS = 8 * 86_400_000  # no tap is silent for a week: an idle one still tells the time


class ProbeSettings(Settings):
    """What the tap hears: the cell alone, what a trace holds, or periodic reports too."""

    grade: Literal["core", "trace", "mdt"] = "trace"


class Probe:
    """Events in, observations out; nothing behind it sees an identity, and nothing tells one."""

    def __init__(self, plan_digest: bytes, cell_count: int, counted: np.ndarray, keys: Keys, start_ms: int):
        self._plan_digest, self._cell_count = plan_digest, cell_count
        self._counted, self._keys = counted, keys
        self._watermark_ms = start_ms
        self.counts = Tally()

    def observe(self, batch: Batch) -> np.ndarray:
        """Return OBSERVATION[m] of those who may be counted; count everyone else in `counts`.

        Raises WireError for a watermark that leaps, RunError for a tap that speaks of another plan.
        """
        if batch.plan_digest != self._plan_digest:
            raise RunError("tap and edge hold different plans; give both the same plan.csv")
        if batch.watermark_ms > self._watermark_ms + LEAP_MAX_MS:
            raise WireError("event batch: the watermark leaps by more than 8 days")
        self._watermark_ms = max(self._watermark_ms, batch.watermark_ms)
        self._keys.reach(self._watermark_ms + AHEAD_MS)
        events = batch.events.view()
        events.flags.writeable = False  # one signature for arrays from frames and from tests
        observations = self._observe(events)
        self._keys.forget(self._watermark_ms)
        return observations

    def _observe(self, events: np.ndarray) -> np.ndarray:
        midnights_ms, count = self._keys.midnights_ms, len(events)
        at, person, day = np.empty(count, "i8"), np.empty(count, "u8"), np.empty(count, "i8")
        observations, fates = np.empty(count, OBSERVATION), np.zeros(len(FATES), "i8")
        seek(events, self._counted, at)
        limits_ms = (int(midnights_ms[0]), self._watermark_ms + AHEAD_MS)
        judge(events, self._cell_count, limits_ms, self._counted, at, fates)
        passed = admit(bytes_of(events), events, at, self._counted, midnights_ms,
                       bytes_of(observations), observations, person, day)  # fmt: skip
        observations = observations[:passed]
        observations["pseudonym"] = pseudonyms(person[:passed], day[:passed], self._keys.keys)
        self.counts.count("offered", count)
        for name, amount in zip(FATES[1:], fates[1:], strict=True):
            self.counts.count(name, amount)
        return observations


def bytes_of(rows: np.ndarray) -> np.ndarray:
    """Return u1[n, bytes of a row], the same memory."""
    return rows.view("u1").reshape(len(rows), -1)


@kernel
def seek(events, counted, at):
    """Write where the search for each subscriber begins; return nothing of meaning.

    Touches that entry without a branch, so that many misses of the cache are on their way
    at once; `judge` then finds them near.  A random entry of 1e6 costs 14 ns so, else 40.
    """
    touched = np.uint64(0)
    for i in range(len(events)):
        at[i] = start(events[i].subscriber, counted)
        touched ^= counted[at[i]].subscriber
    return touched


@kernel
def judge(events, cell_count, limits_ms, counted, at, fates):
    """Write which entry of the table each event belongs to, and -1 where it goes no further.

    events    : EVENT[n]
    limits_ms : (i8, i8)      before the first the day's key is gone; after the second a clock is wrong
    counted   : COUNTED[2^k]
    at        : i8[n]         in: where its search begins
    fates     : i8[4]         in and out: how many met each of FATES
    """
    for i in range(len(events)):
        found = find(events[i].subscriber, counted, at[i])
        fate = PASSED
        if not sound(events[i], cell_count, limits_ms[1]):
            fate = INVALID
        elif events[i].time_ms < limits_ms[0]:
            fate = LATE
        elif counted[found].subscriber == 0:
            fate = REFUSED
        fates[fate] += 1
        at[i] = found if fate == PASSED else -1


@kernel
def admit(raw_events, events, at, counted, midnights_ms, raw, observations, person, day):
    """Write an observation without its pseudonym for each event that has an entry; return how many.

    raw_events, raw : u1[n, 48], u1[n, 51]  the rows of EVENT[n] and OBSERVATION[n] (out) as bytes
    midnights_ms    : i8[d + 1]  of the local days
    person, day     : u8[n], i8[n]  out: who it was, and the day it was, for `pseudonyms`
    """
    out = 0
    for i in range(len(events)):
        if at[i] < 0:
            continue
        who = counted[at[i]]
        for k in range(SHARED_FROM, SHARED_TO):
            raw[out, k] = raw_events[i, k]
        observations[out].time_ms = events[i].time_ms
        observations[out].home = who.home
        observations[out].klass = who.klass
        person[out] = who.person
        day[out] = 0
        while events[i].time_ms >= midnights_ms[day[out] + 1]:
            day[out] += 1
        out += 1
    return out
