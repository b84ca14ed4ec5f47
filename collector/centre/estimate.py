"""Sums of released slots, their intervals, and what may be shown.  Everything here is post-processing."""

from collections import namedtuple
from enum import StrEnum

import numpy as np

from probe.base.clock import HOUR_MS, SECOND_MS

# THRESHOLD_K: raw devices, before extrapolation; THRESHOLD_Z: one in a thousand of the cells shown stands for fewer
# than that; INTERVAL_Z: 95 %.
THRESHOLD_K, THRESHOLD_Z, INTERVAL_Z = 20, 3.09, 1.96
# How a value may be read.  HIDDEN: below the threshold; MISSING: not every slot of it is stored; WARMING: people
# were still being met; PARTIAL: of the slots that are stored alone; UNRESOLVED: the network cannot tell the area from
# those around it.
State = StrEnum("State", "PUBLISHED HIDDEN MISSING WARMING PARTIAL UNRESOLVED")


class Slots(namedtuple("Slots", "values sigma stored warming span_ms most")):
    """Slots of one table, in order.

    values  : i8[slots, cells] or i8[slots, cells, parts]  value units, zero where not stored; parts are added up
    sigma   : f8[slots]         standard deviation of one value, zero where not stored
    stored  : bool[slots]       whether all of the slot is there
    warming : bool[slots]
    span_ms : i8[slots, 2]      when each begins and ends
    most    : i8[slots]         how many cells one person counts in at most in a day (week), as stated
    """

    def inside(self, begin_ms: int, end_ms: int) -> "Slots":
        """Return the slots that lie wholly in a period."""
        its = (self.span_ms[:, 0] >= begin_ms) & (self.span_ms[:, 1] <= end_ms)
        return Slots(*(field[its] for field in self))


class Estimate(namedtuple("Estimate", "value low high coverage state")):
    """One number for one cell and period: persons on average, or a count; None where it may not be shown.

    value, low, high : float or None;  coverage : float, share of the period that is stored;  state : State
    """


def least(times, sigma):
    """Return what a noisy sum must reach: of 20 persons, if each counts in it so many times at most, and the noise."""
    return THRESHOLD_K * times + THRESHOLD_Z * sigma


def times_of(spans: int, places: int, most: int, held_ms: int) -> int:
    """Return how often one person counts at most in a sum over spans and places of a table that counts by heads.

    Once in each cell, and in no more cells than the bound of a day says.
    """
    return min(spans * places, most * max(1, round(held_ms / (24 * HOUR_MS))))


def estimate(slots: Slots, period_ms: int, averaged: bool, partial: bool, factor: float | np.ndarray,
             places=1) -> list[Estimate]:
    """Return one estimate a cell, of the slots inside a period: their sum, or the mean of persons over their time.

    The noise of a sum of slots is exact: its variance is the sum of theirs.  The threshold
    is held against the noisy sum at this level, on counted devices; then `factor` is applied.
    Half of a period says nothing of the whole; partial sums are of the stored slots alone.
    factor : how many people one of the counted stands for; or f8[cells, parts], of each part of a cell
    places : how many areas (pairs of areas, directions) are summed in one value
    """
    there = slots.stored
    held_ms = int(np.diff(slots.span_ms[there]).sum())
    coverage = held_ms / period_ms
    if held_ms == 0 or (held_ms < period_ms and not partial):
        return [Estimate(None, None, None, coverage, State.MISSING)] * slots.values.shape[1]
    unit = held_ms / SECOND_MS if averaged else 1
    parts = slots.values[there].sum(axis=0).reshape(slots.values.shape[1], -1) / unit
    of_part, factors = float(np.linalg.norm(slots.sigma[there])) / unit, np.broadcast_to(factor, parts.shape)
    counted, sigma, people = parts.sum(axis=1), of_part * parts.shape[1] ** 0.5, (parts * factors).sum(axis=1)
    half = INTERVAL_Z * of_part * np.linalg.norm(factors, axis=1)
    state = State.WARMING if slots.warming[there].any() else State.PUBLISHED if held_ms >= period_ms else State.PARTIAL
    times = 1 if averaged else times_of(int(there.sum()), places, int(slots.most[there].max()), held_ms)
    hidden, limit = Estimate(None, None, None, coverage, State.HIDDEN), least(times, sigma)
    numbers = np.stack([people, np.maximum(people - half, 0), people + half], axis=1).tolist()
    return [Estimate(*(*shown, coverage, state)) if one >= limit else hidden
            for one, shown in zip(counted, numbers, strict=True)]
