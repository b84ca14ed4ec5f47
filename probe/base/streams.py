"""Counter-based randomness: a number is a function of its name, never of draw order.

A name is (seed, purpose, entity, index).  Whoever asks again gets the same bits,
on any shard, in any order.  For worlds only: release noise has its own exact source.

mix64 is the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
"""

from math import cos, log, pi, sqrt

import numpy as np

from probe.base.jit import kernel

U8 = np.uint64


@kernel
def mix64(x):
    """Return u8 bits of u8 x: a bijection that leaves no pattern."""
    x = (U8(x) ^ (U8(x) >> U8(30))) * U8(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> U8(27))) * U8(0x94D049BB133111EB)
    return x ^ (x >> U8(31))


@kernel
def bits(seed, purpose, entity, index):
    """Return the u8 bits of one name; every argument is an integer >= 0."""
    x = mix64(U8(seed) + U8(purpose) * U8(0x9E3779B97F4A7C15))
    x = mix64(x + U8(entity) * U8(0xD1B54A32D192ED03))
    return mix64(x + U8(index) * U8(0x8CB92BA72F3D8DD7))


@kernel
def unit(x):
    """Return f8 in [0, 1) from the upper 53 of u8 bits x."""
    return (U8(x) >> U8(11)) * 1.1102230246251565e-16


@kernel
def uniform(seed, purpose, entity, index):
    """Return f8 in [0, 1) for one name."""
    return unit(bits(seed, purpose, entity, index))


@kernel
def normal(seed, purpose, entity, index):
    """Return a standard normal f8 for one name (Box and Muller, 1958)."""
    x = bits(seed, purpose, entity, index)
    return sqrt(-2.0 * log(1.0 - unit(x))) * cos(2.0 * pi * unit(mix64(x)))


@kernel
def exponential(seed, purpose, entity, index):
    """Return an exponential f8 of mean 1 for one name."""
    return -log(1.0 - uniform(seed, purpose, entity, index))
