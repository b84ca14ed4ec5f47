"""The only thing that leaves the edge: one table and slot, dense, noised, immutable.

A release is one frame: a fixed header of 91 bytes in network order, whose last field is
the SHA-256 of the rest, and a body.  The body of a RELEASE is a statement of what was
promised and the values as fixed-width integers, so that sizes do not speak; that of a
slot that was lost is the reason.
"""

import hashlib
import struct
from collections import namedtuple
from enum import IntEnum, IntFlag
from fractions import Fraction

import numpy as np

from probe.base.packing import pack, require, unpack
from probe.wire.consent import BASES, PURPOSES

PROTO, SCHEMA, MAGIC, NAME_MAX = 1, 1, b"PRL1", 64
SIZE_MAX, FIXED = (1 << 20) - 64, struct.Struct("!4sHHI16sQHI8sBHHI")  # with its envelope below the 1 MiB of a message
HEADER_BYTES = FIXED.size + 32
# What became of the slot.  VOID: sealed, but its bytes were damaged before they were delivered.
Kind = IntEnum("Kind", "RELEASE LOST VOID")
# What befell the system while it counted; nothing here depends on a person.  SEEDED: the noise can be computed
# again, and such a release protects nobody.
Flag = IntFlag("Flag", "CLOCK_STEP PARTIAL_TAP DEGRADED SEEDED")


class Statement(namedtuple("Statement", "table axes value_unit tally_units slot_s slots_a_day bound sigma_p sigma_d "
                                        "rho_numerator rho_denominator basis purpose consent_epoch warming")):
    """What a table promises, in the order of the bytes.

    axes        : of the rows; the list behind it is named by the header's axes hash
    tally_units : in one value; the integers that the noise is added to
    slots_a_day : at most, on a local day of 25 hours
    bound       : what one subscriber can add to one slot at most (L2), tally units
    sigma_p, _d : sigma = sigma_p / sigma_d, tally units
    rho_        : numerator and denominator of one subscriber-day in this table, by the sigma above
    warming     : people are still being met: after a start, after a local midnight
    """

    @property
    def rho(self) -> Fraction:
        """Return the exact zCDP cost of one subscriber-day, as stated."""
        return Fraction(self.rho_numerator, self.rho_denominator)

    @property
    def slot_rho(self) -> Fraction:
        """Return the exact zCDP cost of one slot: bound^2 / (2 sigma^2)."""
        return Fraction(self.bound**2 * self.sigma_d**2, 2 * self.sigma_p**2)

    @property
    def sigma(self) -> float:
        """Return the standard deviation of one value, in value units."""
        return self.sigma_p / self.sigma_d / self.tally_units


class Release(namedtuple("Release", "probe inc seq table slot axes kind flags statement values reason")):
    """One sealed slot, in the order of the bytes.  A RELEASE has a Statement and values, the other kinds have a reason.

    probe, seq, table : int
    inc    : 16 bytes that name the spool
    slot   : int, on the grid of the table
    axes   : 8 bytes: digest of the public list of rows
    kind, flags : Kind, Flag
    values : i8[rows], None in the other kinds; so is the statement
    """


# Types of a body: names, numbers, consent, whether it is warming, the values.
STATED = (*3 * [str], *8 * [int], str, str, int, bool, bytes)


def encode(one: Release) -> bytes:
    """Return the frame of a release.  Its mechanism is 1, the discrete Gaussian; the other kinds have none: 0."""
    body = pack([one.reason] if one.statement is None else [*one.statement, one.values.astype("<i8").tobytes()])
    fixed = FIXED.pack(MAGIC, PROTO, SCHEMA, *one[:8], one.kind == Kind.RELEASE, len(body))
    frame = fixed + hashlib.sha256(fixed + body).digest() + body
    assert len(frame) <= SIZE_MAX, "an area set fits into a release"
    return frame


def decode(frame: bytes) -> Release:
    """Return the release in a frame, or raise WireError.  Header and hash come before the body."""
    body, sizes = frame[HEADER_BYTES:], f"expected {HEADER_BYTES} to {SIZE_MAX}"
    require(HEADER_BYTES <= len(frame) <= SIZE_MAX, f"release: {len(frame)} bytes, {sizes}")
    magic, proto, schema, *named, kind, flags, mechanism, size = FIXED.unpack(frame[: FIXED.size])
    known = (magic, proto, schema) == (MAGIC, PROTO, SCHEMA)
    require(known, f"release: {magic!r} protocol {proto} schema {schema} is unknown")
    require(size == len(body) and intact(frame), "release: the body is not what the header says")
    fit = kind in list(Kind) and flags <= sum(Flag) and mechanism == (kind == Kind.RELEASE) and named[2] < 1 << 63
    require(fit, "release: kind, flags, mechanism or sequence number out of range")
    head = *named, Kind(kind), Flag(flags)
    if kind != Kind.RELEASE:
        return Release._make([*head, None, None, *unpack(body, (str,), "release body", 4 * NAME_MAX)])
    *given, raw = unpack(body, STATED, "release body", SIZE_MAX)
    require(len(raw) > 0 and len(raw) % 8 == 0, f"release body: {len(raw)} bytes of values")
    stated = Statement(*given)
    fit = min(stated[3:11]) > 0 <= stated.consent_epoch and all(0 < len(name) <= NAME_MAX for name in stated[:3])
    require(fit, "release body: a number that must be positive is not, or a name has no fit length")
    paid = stated.slots_a_day * stated.slot_rho == stated.rho
    require(paid, "release body: the budget stated is not that of the noise stated")
    require(stated.basis in BASES and stated.purpose in PURPOSES, "release body: basis or purpose is unknown")
    return Release._make([*head, stated, np.frombuffer(raw, "<i8"), ""])


def sha256_of(frame: bytes) -> bytes:
    """Return the hash that names the content of a frame."""
    return frame[FIXED.size : HEADER_BYTES]


def intact(frame: bytes) -> bool:
    """Return whether a frame still is what its hash names."""
    return hashlib.sha256(frame[: FIXED.size] + frame[HEADER_BYTES:]).digest() == sha256_of(frame)
