"""Sums of released slots, their intervals, and what may be shown.  Everything here is post-processing."""

from collections import namedtuple
from enum import StrEnum

import numpy as np

# THRESHOLD_K: raw devices, before extrapolation; THRESHOLD_Z: one in a thousand of the cells shown stands for fewer
# than that; INTERVAL_Z: 95 %.
THRESHOLD_K, THRESHOLD_Z, INTERVAL_Z = 20, 3.09, 1.96
# How a value may be read.  HIDDEN: below the threshold; MISSING: not every slot of it is stored; WARMING: people
# were still being met.
State = StrEnum("State", "PUBLISHED HIDDEN MISSING WARMING")


class Slots(namedtuple("Slots", "values sigma stored warming slot_s")):
    """The slots of one period, in order.

    values  : i8[slots, areas]  person-seconds, zero where not stored
    sigma   : f8[slots]         standard deviation of one value, zero where not stored
    stored  : bool[slots]       whether all of the slot is there
    warming : bool[slots]
    slot_s  : int
    """


class Estimate(namedtuple("Estimate", "value low high coverage state")):
    """One number for one area and period, in persons on average; None where it may not be shown.

    value, low, high : float or None;  coverage : float, share of the period that is stored;  state : State
    """


def estimate(slots: Slots, partial: bool, factor: float) -> list[Estimate]:
    """Return one estimate an area: the mean number of persons over the period.

    The noise of a sum of slots is exact: its variance is the sum of theirs.  The threshold
    is held against the noisy sum at this level, on counted devices; then `factor` is applied.
    Half of a period says nothing of the whole; partial means over the stored slots alone.
    """
    there, count = slots.stored, int(slots.stored.sum())
    coverage = count / len(there)
    if count == 0 or (coverage < 1 and not partial):
        return [Estimate(None, None, None, coverage, State.MISSING)] * slots.values.shape[1]
    length_s = count * slots.slot_s
    persons, sigma = slots.values[there].sum(axis=0) / length_s, float(np.linalg.norm(slots.sigma[there])) / length_s
    low, high = np.maximum(persons - INTERVAL_Z * sigma, 0), persons + INTERVAL_Z * sigma
    state = State.WARMING if slots.warming[there].any() else State.PUBLISHED
    hidden, limit = Estimate(None, None, None, coverage, State.HIDDEN), THRESHOLD_K + THRESHOLD_Z * sigma
    numbers = (factor * np.stack([persons, low, high], axis=1)).tolist()
    return [Estimate(*(*shown, coverage, state)) if mean >= limit else hidden
            for mean, shown in zip(persons, numbers, strict=True)]
