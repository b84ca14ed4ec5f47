"""Who a person is: home, work, habits.  Pure functions of (seed, person) and simulator.population.Country."""

import numpy as np

from probe.base.jit import bare, kernel
from probe.base.streams import U8, bits, mix64, uniform, unit

PERSON, BUCKETS = 101, U8(64)  # purpose: name of a stream


@bare
def draw(key, index):
    """Return the u8 bits of draw `index` under a key (SplitMix64)."""
    return mix64(key + U8(index) * U8(0x9E3779B97F4A7C15))


@bare
def share(key, index):
    """Return f8 in [0, 1) of draw `index` under a key."""
    return unit(draw(key, index))


@bare
def bell(key, index):
    """Return f8 of mean 0 and deviation 1 within +-3.5: four uniforms of 16 bits, no log, no cos."""
    x = draw(key, index)
    total = (x & U8(0xFFFF)) + ((x >> U8(16)) & U8(0xFFFF)) + ((x >> U8(32)) & U8(0xFFFF)) + (x >> U8(48))
    return (np.int64(total) - 131070) / 37837.0


@bare
def pick(cumulative, x):
    """Return the first row whose cumulative share lies above the upper 32 of u8 bits x."""
    return np.searchsorted(cumulative[:-1], np.uint32(x >> U8(32)), "right")


@bare
def spot(country, area, key, index):
    """Return (x_m, y_m) of a point drawn evenly from the bins of an area (two draws)."""
    first, end = country.first_bin[area], country.first_bin[area + 1]
    row, x = first + np.int64(share(key, index) * (end - first)), draw(key, index + 1)
    dx, dy = np.int64(x & U8(0xFFFF)) - 32768, np.int64((x >> U8(16)) & U8(0xFFFF)) - 32768
    return country.bin_x_m[row] + dx * (100.0 / 65536.0), country.bin_y_m[row] + dy * (100.0 / 65536.0)


@bare
def home_of(seed, person, country):
    """Return (area, (x_m, y_m)) where a person lives."""
    key = bits(seed, PERSON, person, 0)
    area = pick(country.home_cum, draw(key, 0))
    return area, spot(country, area, key, 1)


@kernel
def homes(seed, count, country):
    """Return the areas i8[n] that the persons live in."""
    return np.array([home_of(seed, i, country)[0] for i in range(count)])


@kernel
def shares(seed, count, index):
    """Return draw `index` f8[n] of the persons (those of simulator.kernels.move.person_of)."""
    return np.array([share(bits(seed, PERSON, i, 1), index) for i in range(count)])


@kernel
def uniforms(seed, purpose, person, day):
    """Return f8[n] in [0, 1) of the persons, i8[n], for one purpose (name of a stream) and day."""
    return np.array([uniform(seed, purpose, i, day) for i in person])


@kernel
def buckets(count):
    """Return which of the 64 buckets each person belongs to, u1[n]."""
    return np.array([np.uint8(mix64(U8(i)) % BUCKETS) for i in range(count)])


@kernel
def numbers(keys, count):
    """Return ten-digit numbers i8[n] of the persons, no two alike.

    A permutation of 34 bits, a Feistel network of one round for each of keys, u8[rounds], is walked until it lands
    below 10**10 (Black and Rogaway, Ciphers with Arbitrary Finite Domains, CT-RSA 2002).
    """
    half, number = U8((1 << 17) - 1), np.full(count, 10_000_000_000, "i8")
    for i in range(count):
        left, right = U8(i) >> U8(17), U8(i) & half
        while number[i] >= 10_000_000_000:
            for key in keys:
                left, right = right, left ^ (mix64(right ^ key) & half)
            number[i] = np.int64((left << U8(17)) | right)
    return number
