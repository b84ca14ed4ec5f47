"""The discrete Gaussian, drawn exactly: integers only, no float, no logarithm.

P(y) is proportional to exp(-y^2 / (2 sigma^2)) over the integers, sigma = p/d.

Source: Canonne, Kamath, Steinke, The Discrete Gaussian for Differential Privacy
(NeurIPS 2020) for Bernoulli(exp(-g)); Karney, Sampling exactly from the normal
distribution (ACM TOMS 42, 2016), whose block form is taken over to integers here.

Every function takes its bits from `pool`, u1[n], at position at[0], i8[2].  When the pool
ends, at[1] becomes 1 and bytes of 255 are answered: they decide every Bernoulli draw of a
probability below one against, so all loops end, and the cell is drawn again from its own
first byte on a longer pool.  No value made with such a byte is ever kept.
"""

import numpy as np

from probe.base.jit import kernel

U8, LIMIT = np.uint64, 1 << 55  # LIMIT of p + d, and of both sides of a Bernoulli: 256 n stays below 2^63
PARITY = U8(0x1BD11BDAA9FC1A22)
ROTATIONS = np.array([[14, 16], [52, 57], [23, 40], [5, 37], [25, 33], [46, 12], [58, 22], [32, 32]], np.uint64)


@kernel
def take(pool, at):
    """Return the next byte of the pool as i8."""
    if at[0] >= len(pool):
        at[1] = 1
        return np.int64(255)
    at[0] += 1
    return np.int64(pool[at[0] - 1])


@kernel
def bernoulli(n, d, pool, at):
    """Return whether an event of probability n/d happened, 0 <= n <= d < 2^55.

    Byte by byte: the next digit, base 256, of a uniform number held against n/d; what it leaves open is asked again.
    """
    while True:
        n = 256 * n - take(pool, at) * d
        if not 0 < n < d:
            return n > 0


@kernel
def bernoulli_exp(n, d, power, pool, at):
    """Return whether an event of probability exp(-(n/d)^power / power) happened, 0 <= n <= d, power 1 or 2."""
    k = 1
    while bernoulli(1, power * k, pool, at) and bernoulli(n, d, pool, at) and (power == 1 or bernoulli(n, d, pool, at)):
        k += 1
    return k % 2 == 1


@kernel
def below(m, pool, at):
    """Return i8 uniform in 0 .. m - 1: the fewest bits that hold m - 1, drawn until they fit."""
    while True:
        value, span = np.int64(0), np.int64(1)
        while span < m:
            value, span = value * 256 + take(pool, at), span * 256
        whole = span // m
        if value < whole * m or at[1]:
            return value // whole


@kernel
def attempt(p, d, pool, at):
    """Return (accepted, y): one round of the block form.

    k whole sigmas with probability falling as exp(-k^2 / 2), a place j inside the block,
    and the rest of the exponent: y^2 / (2 sigma^2) = k^2/2 + k r/p + (r/p)^2/2 with
    r = y d - k p in 0 .. p - 1.  Minus zero is refused, else zero had twice its share.
    """
    k = 0
    while at[1] == 0 and bernoulli_exp(1, 2, 1, pool, at):
        k += 1
    for _ in range(k * (k - 1)):
        if not bernoulli_exp(1, 2, 1, pool, at):
            return False, 0
    y = (k * p + d - 1) // d + below((p + d - 1) // d, pool, at)
    r = y * d - k * p
    if r >= p:
        return False, 0
    for _ in range(k):
        if not bernoulli_exp(r, p, 1, pool, at):
            return False, 0
    accepted = bernoulli_exp(r, p, 2, pool, at)
    if accepted and bernoulli(1, 2, pool, at):
        return y != 0, -y
    return accepted, y


@kernel
def fill(noise, first, p, d, pool, at):
    """Draw noise[first:] from one pool; return the first cell that the pool did not reach.

    noise : i8[n]  out: one draw a cell
    at    : i8[2]  in and out: at[0] is left after the last whole draw
    """
    for cell in range(first, len(noise)):
        start, accepted = at[0], False
        while at[1] == 0 and not accepted:
            accepted, noise[cell] = attempt(p, d, pool, at)
        if at[1]:
            at[0], at[1] = start, 0
            return cell
    return len(noise)


@kernel
def fill_by_name(noise, first, p, d, key, words):
    """Draw noise[first:], each cell from its own stream; return the first that the pool was too short for.

    key   : u8[4]   names table and slot
    words : u8[n]   scratch, the pool: blocks (cell, 0), (cell, 1), ... of four words
    """
    pool = words.view(np.uint8)
    for cell in range(first, len(noise)):
        for block in range(len(words) // 4):
            threefry(key, U8(cell), U8(block), words[4 * block : 4 * block + 4])
        at = np.zeros(2, np.int64)
        if fill(noise[cell : cell + 1], 0, p, d, pool, at) == 0:
            return cell
    return len(noise)


@kernel
def threefry(key, counter0, counter1, out):
    """Write Threefry-4x64-20 at counter (counter0, counter1, 0, 0) to out, u8[4].

    Source: Salmon, Moraes, Dror, Shaw, Parallel random numbers: as easy as 1, 2, 3 (SC 2011).
    """
    schedule = (key[0], key[1], key[2], key[3], PARITY ^ key[0] ^ key[1] ^ key[2] ^ key[3])
    x0, x1, x2, x3 = counter0 + key[0], counter1 + key[1], key[2], key[3]
    for turn in range(20):
        (x0, x3), (x2, x1) = mixed(x0, x1, ROTATIONS[turn % 8, 0]), mixed(x2, x3, ROTATIONS[turn % 8, 1])
        if turn % 4 == 3:
            s = turn // 4 + 1
            x0, x1 = x0 + schedule[s % 5], x1 + schedule[(s + 1) % 5]
            x2, x3 = x2 + schedule[(s + 2) % 5], x3 + schedule[(s + 3) % 5] + U8(s)
    out[0], out[1], out[2], out[3] = x0, x1, x2, x3


@kernel
def mixed(a, b, bits):
    """Return both halves of a round: the sum, and b rotated left and xored with it."""
    return a + b, ((b << bits) | (b >> (U8(64) - bits))) ^ (a + b)
