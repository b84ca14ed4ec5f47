"""Slow, obvious answers for noise: exact laws by counting every path, never a kernel."""

import math
from decimal import Decimal, getcontext
from fractions import Fraction
from functools import cache

import numpy as np

getcontext().prec = 90
TINY = Decimal(10) ** -62


class Asked(Exception):
    """A decision is needed: its outcomes, each with its probability."""

    def __init__(self, outcomes):
        self.outcomes = outcomes


def law(run):
    """Return {result: probability} of a function of a decider, over every path that weighs more than 1e-62.

    run(decide) calls decide([(outcome, probability), ...]) for each decision.
    """
    found, todo = {}, [((), Decimal(1))]
    while todo:
        script, weight = todo.pop()
        answers = iter(script)

        def decide(outcomes, answers=answers):
            answer = next(answers, None)
            if answer is None:
                raise Asked(outcomes)
            return answer

        try:
            result = run(decide)
        except Asked as asked:
            todo += [((*script, o), weight * p) for o, p in asked.outcomes if weight * p > TINY]
        else:
            found[result] = found.get(result, Decimal(0)) + weight
    return found


@cache
def yes_no(n, d):
    """Return the two outcomes of an event of probability n/d."""
    return [(True, decimal(Fraction(n, d))), (False, 1 - decimal(Fraction(n, d)))]


@cache
def yes_no_exp(n, d):
    """Return the two outcomes of an event of probability exp(-n/d)."""
    probability = (-decimal(Fraction(n, d))).exp()
    return [(True, probability), (False, 1 - probability)]


def decimal(fraction):
    """Return a fraction with 90 digits."""
    fraction = Fraction(fraction)
    return Decimal(fraction.numerator) / Decimal(fraction.denominator)


def discrete_gaussian(sigma, reach):
    """Return {y: probability} for |y| <= reach, typed from the definition."""
    weight = {y: (-Decimal(y * y) / (2 * decimal(sigma) ** 2)).exp() for y in range(-reach, reach + 1)}
    total = sum(weight.values())
    return {y: one / total for y, one in weight.items()}


def chi_square_z(draws, sigma):
    """Return by how many standard deviations chi-square is too large (Wilson and Hilferty, 1931)."""
    reach = math.ceil(5 * sigma)
    pmf = discrete_gaussian(Fraction(sigma), math.ceil(12 * sigma))
    inner = np.array([float(pmf[y]) for y in range(-reach, reach + 1)])
    expected = len(draws) * np.append(inner, 1 - inner.sum())
    counted = np.bincount(np.clip(draws + reach, 0, 2 * reach)[abs(draws) <= reach], minlength=2 * reach + 1)
    observed = np.append(counted, (abs(draws) > reach).sum())
    kept = expected > 5
    free = kept.sum() - 1
    square = np.sum((observed[kept] - expected[kept]) ** 2 / expected[kept])
    spread = 2 / (9 * free)
    return ((square / free) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)


def ks_against_normal(draws, sigma):
    """Return sqrt(n) times the largest gap to the normal law: what a large sigma tends to, to 1e-9."""
    ordered = np.sort(draws) / sigma
    law_at = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in ordered])
    steps = np.arange(len(ordered) + 1) / len(ordered)
    return math.sqrt(len(ordered)) * max(np.max(steps[1:] - law_at), np.max(law_at - steps[:-1]))


def ks_between(one, other):
    """Return the scaled largest gap between two empirical laws."""
    points = np.sort(np.concatenate([one, other]))
    gap = np.abs(
        np.searchsorted(np.sort(one), points, "right") / len(one)
        - np.searchsorted(np.sort(other), points, "right") / len(other)
    )
    return math.sqrt(len(one) * len(other) / (len(one) + len(other))) * gap.max()
