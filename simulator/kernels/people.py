"""Who a person is: home, work, habits.  Pure functions of (seed, person) and simulator.population.Country."""

import numpy as np

from probe.base.jit import kernel
from probe.base.streams import bits, mix64, unit

U8 = np.uint64
PERSON = 101  # purposes: names of streams
BUCKETS = U8(64)


@kernel
def draw(key, index):
    """Return the u8 bits of draw `index` under a key (SplitMix64)."""
    return mix64(key + U8(index) * U8(0x9E3779B97F4A7C15))


@kernel
def share(key, index):
    """Return f8 in [0, 1) of draw `index` under a key."""
    return unit(draw(key, index))


@kernel
def bell(key, index):
    """Return f8 of mean 0 and deviation 1 within +-3.5: four uniforms of 16 bits, no log, no cos."""
    x = draw(key, index)
    total = (x & U8(0xFFFF)) + ((x >> U8(16)) & U8(0xFFFF)) + ((x >> U8(32)) & U8(0xFFFF)) + (x >> U8(48))
    return (np.int64(total) - 131070) / 37837.0


@kernel
def pick(cumulative, x):
    """Return the first row whose cumulative share lies above the upper 32 of u8 bits x."""
    wanted = x >> U8(32)
    low, high = 0, len(cumulative) - 1
    while low < high:
        middle = (low + high) // 2
        if wanted < U8(cumulative[middle]):
            high = middle
        else:
            low = middle + 1
    return low


@kernel
def spot(country, area, key, index):
    """Return (x_m, y_m) of a point drawn evenly from the bins of an area (two draws)."""
    first = country.first_bin[area]
    count = country.first_bin[area + 1] - first
    row = first + np.int64(share(key, index) * count)
    x = draw(key, index + 1)
    dx = (np.int64(x & U8(0xFFFF)) - 32768) * (100.0 / 65536.0)
    dy = (np.int64((x >> U8(16)) & U8(0xFFFF)) - 32768) * (100.0 / 65536.0)
    return country.bin_x_m[row] + dx, country.bin_y_m[row] + dy


@kernel
def home_of(seed, person, country):
    """Return (area, x_m, y_m) where a person lives."""
    key = bits(seed, PERSON, person, 0)
    area = pick(country.home_cum, draw(key, 0))
    x, y = spot(country, area, key, 1)
    return area, x, y


@kernel
def bucket_of(person):
    """Return which of the 64 buckets a person belongs to."""
    return np.int64(mix64(U8(person)) % BUCKETS)


@kernel
def homes(seed, first, country, area, x_m, y_m):
    """Write home area i8[n] and place f8[n] of the persons from `first` on."""
    for i in range(len(area)):
        area[i], x_m[i], y_m[i] = home_of(seed, first + i, country)


@kernel
def shares(seed, first, index, share_out):
    """Write draw `index` f8[n] of the persons from `first` on (those of simulator.kernels.move.person_of)."""
    for i in range(len(share_out)):
        share_out[i] = share(bits(seed, PERSON, first + i, 1), index)


@kernel
def buckets(first, bucket):
    """Write the bucket u1[n] of the persons from `first` on."""
    for i in range(len(bucket)):
        bucket[i] = bucket_of(first + i)


@kernel
def feistel(keys, x):
    """Return a permutation of 34 bits: a Feistel network, one round for each of keys, u8[rounds]."""
    half = U8((1 << 17) - 1)
    left, right = x >> U8(17), x & half
    for key in keys:
        left, right = right, left ^ (mix64(right ^ key) & half)
    return (left << U8(17)) | right


@kernel
def numbers(keys, first, number):
    """Write ten-digit numbers i8[n] of the persons from `first` on, no two alike.

    The permutation is walked until it lands below 10**10
    (Black and Rogaway, Ciphers with Arbitrary Finite Domains, CT-RSA 2002).
    """
    for i in range(len(number)):
        x = feistel(keys, U8(first + i))
        while x >= U8(10_000_000_000):
            x = feistel(keys, x)
        number[i] = np.int64(x)
