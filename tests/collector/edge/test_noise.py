"""The noise: its exact law by every path, what is drawn, under which name, and mutants that must fail."""

import hashlib
from decimal import Decimal
from fractions import Fraction
from math import ceil
from pathlib import Path

import numpy as np
import pytest

from collector.edge import noise
from collector.edge.kernels import gaussian
from tests import oracles_seal as oracle

SOURCE = Path(gaussian.__file__).read_text()
EXACT = Decimal(10) ** -57
SIGMAS = [Fraction(1, 2), Fraction(7, 3), Fraction(5), Fraction(13, 4)]
PRESENCE_P = 34_017 * 64_000


def plain(source=SOURCE):
    """Return the names of the kernel file as plain Python, nothing compiled."""
    names = {}
    text = source.replace("from probe.base.jit import kernel", "kernel = lambda function: function")
    exec(compile(text, "gaussian", "exec"), names)
    return names


def stream(seed):
    """Return a source of bytes that is the same every time."""
    taken = 0

    def source(count):
        nonlocal taken
        taken += 1
        return hashlib.shake_256(f"{seed} {taken if count != 0 else 0}".encode()).digest(count)

    return source


def long_stream(seed, size):
    """Return a source over one long string of bytes, however it is cut."""
    data, at = hashlib.shake_256(str(seed).encode()).digest(size), 0

    def source(count):
        nonlocal at
        at += count
        assert at <= size
        return data[at - count : at]

    return source


# The exact law, block by block


def check_bernoulli(names):
    """One byte decides, but for at most one of 256; the rest is the same question again, exactly."""

    kept = names["take"]

    def take(pool, at):
        assert at[0] < len(pool), "a byte that is not there"
        return kept(pool, at)

    def decided(n, d, *given):
        at = [0, 0]
        return names["bernoulli"](n, d, given, at), at[0]

    names["take"] = take

    for d in range(1, 24):
        for n in range(d + 1):
            yes, left = 0, Fraction(0)
            for u in range(256):
                rest = 256 * n - u * d
                if 0 < rest < d:
                    left += Fraction(rest, d)
                    second = [decided(n, d, u, s, 0)[0] for s in range(256)]
                    assert second == [decided(rest, d, s, 0)[0] for s in range(256)]
                else:
                    answer, taken = decided(n, d, u, *[255] * 9)
                    assert taken == 1
                    yes += answer
            assert left < 1 and yes + left == 256 * Fraction(n, d)


def check_exponentials(names):
    def run(function, *given):
        def once(decide):
            names["bernoulli"] = lambda n, d, pool, at: decide(oracle.yes_no(n, d))
            return function(*given, None, None)

        return oracle.law(once).get(True, Decimal(0))

    try:
        kept = names["bernoulli"]
        for n, d in [(0, 1), (1, 1), (1, 2), (1, 3), (6, 7), (99, 100)]:
            g = oracle.decimal(Fraction(n, d))
            assert abs(run(names["bernoulli_exp"], n, d, 1) - (-g).exp()) < EXACT
            assert abs(run(names["bernoulli_exp"], n, d, 2) - (-g * g / 2).exp()) < EXACT
    finally:
        names["bernoulli"] = kept


def check_below(names):
    for m in [1, 2, 3, 5, 200, 256]:
        counts = np.zeros(m, int)
        for u in range(256):
            at = [0, 0]
            value = names["below"](m, [u], at)
            if not at[1]:
                counts[value] += 1
        assert counts.min() == counts.max() > 0


def check_law(names, sigmas=SIGMAS):
    blocks = ("bernoulli", "bernoulli_exp", "below")
    kept = {name: names[name] for name in blocks}
    try:
        for sigma in sigmas:
            got = law_of_attempt(names, sigma.numerator, sigma.denominator)
            accepted = sum(weight for (yes, _), weight in got.items() if yes)
            reach = ceil(9 * sigma)
            for y, wanted in oracle.discrete_gaussian(sigma, ceil(17 * sigma)).items():
                if abs(y) <= reach:
                    assert abs(got.get((True, y), Decimal(0)) / accepted - wanted) < EXACT
    finally:
        names.update(kept)


def law_of_attempt(names, p, d):
    def once(decide):
        names["bernoulli"] = lambda n, d, pool, at: decide(oracle.yes_no(n, d))
        names["bernoulli_exp"] = lambda n, d, power, pool, at: decide(
            oracle.yes_no_exp(n**power, power * d**power)
        )
        names["below"] = lambda m, pool, at: decide([(j, 1 / Decimal(m)) for j in range(m)])
        accepted, y = names["attempt"](p, d, None, [0, 0])
        return accepted, y if accepted else 0

    return oracle.law(once)


def check_names(names):
    """Noise of a cell, alone and among others; the pool holds more than one draw."""
    key = np.arange(4, dtype=np.uint64)
    with np.errstate(over="ignore"):
        together = np.zeros(3, np.int64)
        names["fill_by_name"](together, 0, 7, 3, key, np.zeros(32, np.uint64))
        alone = np.zeros(3, np.int64)
        names["fill_by_name"](alone, 2, 7, 3, key, np.zeros(32, np.uint64))
    assert together[2] == alone[2]


CHECKS = [check_bernoulli, check_exponentials, check_below, check_law, check_names]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_law_is_exact_to_57_digits(check):
    check(plain())


MUTANTS = {
    "a byte that decides is passed on": ("if not 0 < n < d:", "if not 0 < n <= d:", check_bernoulli),
    "a byte is used twice": ("    at[0] += 1\n    return np.int64(pool[at[0] - 1])",
                             "    return np.int64(pool[at[0]])", check_bernoulli),
    "k (k - 1) as k^2": ("range(k * (k - 1))", "range(k * k)", check_law),
    "minus zero is kept": ("return y != 0, -y", "return True, -y", check_law),
    "sigma as sigma^2": ("    k = 0\n", "    k = 0\n    p, d = p * p, d * d\n", check_law),
    "the last block is not cut": ("if r >= p:", "if r > p:", check_law),
    "the odd one out": ("return k % 2 == 1", "return k % 2 == 0", check_exponentials),
    "a pool not emptied at a cell": ("        at = np", "        at = at if cell > first else np", check_names),
    "a biased place in the block": ("if value < whole * m or", "if value <= whole * m or", check_below),
}  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)
def test_mutants_are_caught(mutant):
    before, after, check = mutant
    assert before in SOURCE
    with pytest.raises((AssertionError, IndexError)):
        check(plain(SOURCE.replace(before, after)))


# What is drawn


@pytest.mark.parametrize("sigma", [Fraction(1, 2), Fraction(7, 3), Fraction(5), Fraction(187, 5)], ids=str)
def test_a_million_draws_follow_the_law(sigma):
    draws = noise.drawn(1_000_000, sigma.numerator, sigma.denominator, stream(sigma))
    assert oracle.chi_square_z(draws, sigma) < 3.72  # p > 1e-4


def test_seeded_draws_follow_the_law_too():
    assert oracle.chi_square_z(noise.named(5, 1, 9, 200_000, 5, 1), Fraction(5)) < 3.72


def test_noise_of_presence_follows_the_law():
    draws = noise.named(1, 1, 1, 50_000, PRESENCE_P, 1)
    assert oracle.ks_against_normal(draws, float(PRESENCE_P)) < 2.225  # p > 1e-4


def test_opendp_draws_the_same():
    import opendp.prelude as dp

    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64")
    theirs = np.array(dp.m.make_gaussian(*space, scale=34_017.0)(np.zeros(20_000, np.int64)))
    ours = noise.drawn(20_000, 34_017, 1, stream("opendp"))
    assert oracle.ks_between(ours, theirs) < 2.7  # p > 1e-6: theirs has no seed


# Where the bits come from

VECTORS = [
    # Random123, kat_vectors: threefry4x64, 20 rounds, zeros
    ([0, 0, 0, 0], 0, 0, [0x09218EBDE6C85537, 0x55941F5266D86105, 0x4BD25E16282434DC, 0xEE29EC846BD2E40B]),
]


@pytest.mark.parametrize(("key", "cell", "block", "wanted"), VECTORS)
def test_threefry_answers_as_published(key, cell, block, wanted):
    out = np.zeros(4, np.uint64)
    gaussian.threefry(np.array(key, np.uint64), np.uint64(cell), np.uint64(block), out)
    assert out.tolist() == wanted


def test_noise_has_a_name_and_nothing_else_moves_it():
    """More cells, another order of tables, other draws in between: the same noise."""
    few, many = noise.named(1, 1, 7, 5, 187, 5), noise.named(1, 1, 7, 500, 187, 5)
    noise.named(1, 2, 7, 3, 7, 3)
    assert np.array_equal(few, many[:5])
    assert np.array_equal(few, noise.named(1, 1, 7, 5, 187, 5))
    for other in ((2, 1, 7), (1, 2, 7), (1, 1, 8)):
        assert not np.array_equal(noise.named(*other, 500, 187, 5), many)


def test_a_cell_that_needs_more_bits_gets_its_own(monkeypatch):
    wanted = noise.named(3, 1, 1, 300, PRESENCE_P, 1)
    monkeypatch.setattr("collector.edge.noise.BLOCKS", 1)
    assert np.array_equal(noise.named(3, 1, 1, 300, PRESENCE_P, 1), wanted)


@pytest.mark.parametrize("bulk_bytes", [1, 2, 3, 5, 7, 64, 1000])
def test_the_end_of_the_buffer_changes_nothing(bulk_bytes):
    wanted = noise.drawn(100, 187, 5, long_stream("end", 1 << 14), 1 << 14)
    assert np.array_equal(noise.drawn(100, 187, 5, long_stream("end", 1 << 14), bulk_bytes), wanted)


def test_bits_are_overwritten_once_used(monkeypatch):
    pools, held, fill = [], [], gaussian.fill

    def looks(noise, cell, p, d, pool, at):
        pools.append(pool)
        held.append(pool.any())
        return fill(noise, cell, p, d, pool, at)

    monkeypatch.setattr(gaussian, "fill", looks)
    noise.drawn(100, 7, 3, stream("used"), 64)
    assert sum(held) > 2 and not any(pool.any() for pool in pools)


def test_the_system_never_draws_the_same_twice():
    assert not np.array_equal(noise.drawn(50, PRESENCE_P, 1), noise.drawn(50, PRESENCE_P, 1))
