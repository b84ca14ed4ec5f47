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

from probe.base.clock import SPAN_S
from probe.base.packing import pack, require, unpack
from probe.wire.consent import BASES, PURPOSES

PROTO, SCHEMA, MAGIC, NAME_MAX = 1, 2, b"PRL1", 64
SIZE_MAX, FIXED = (1 << 20) - 64, struct.Struct("!4sHHI16sQHI8sBHHI")  # with its envelope below the 1 MiB of a message
HEADER_BYTES = FIXED.size + 32
# What became of the slot.  VOID: sealed, but its bytes were damaged before they were delivered.
Kind = IntEnum("Kind", "RELEASE LOST VOID")
# What befell the system while it counted; nothing here depends on a person.  SEEDED: the noise can be computed
# again, and such a release protects nobody.
Flag = IntFlag("Flag", "CLOCK_STEP PARTIAL_TAP DEGRADED SEEDED")



class Statement(namedtuple("Statement", """table axes value_unit span slot_s tally_units unit bound_squared sigma_p
                           sigma_d rho_numerator rho_denominator basis purpose consent_epoch code warming""")):
    """What a table promises, in the order of the bytes.

    axes        : names, joined by ",", of the dense values in C order; the header's axes hash names the lists behind
    span        : of clock.SPAN_S, what one release counts over;  slot_s : its length there
    tally_units : in one value; the integers that the noise is added to
    unit        : subscriber-day or subscriber-week, whose bound and rho these are
    bound_squared : L2^2 of what one subscriber can add to all releases of such a unit, tally units
    sigma_p, _d : sigma = sigma_p / sigma_d, tally units
    rho_        : numerator and denominator of one unit in this table, by the sigma above
    code        : 16 hex digits over the sources that made the release
    warming     : people are still being met: after a start, after a local midnight
    """

    @property
    def rho(self) -> Fraction:
        """Return the exact zCDP cost of one subscriber-day (or week), as stated."""
        return Fraction(self.rho_numerator, self.rho_denominator)

    @property
    def sigma(self) -> float:
        """Return the standard deviation of one value, in value units."""
        return self.sigma_p / self.sigma_d / self.tally_units


class Release(namedtuple("Release", "probe inc seq table slot axes kind flags statement values reason")):
    """One sealed slot, in the order of the bytes.  A RELEASE has a Statement and values, the other kinds have a reason.

    probe, seq, table : int
    inc    : 16 bytes that name the spool
    slot   : int, UTC number of the first 15 minutes of the span
    axes   : 8 bytes: digest of the public lists of its axes
    kind, flags : Kind, Flag
    values : i8[cells], None in the other kinds; so is the statement
    """


def unit_of(span: str) -> str:
    """Return whose bound a table of this span states: one week of a subscriber, or one local day."""
    return "subscriber-week" if span == "week" else "subscriber-day"


# Types of a body: the fields of a statement in their order, the values.
STATED = (*4 * [str], int, int, str, *5 * [int], str, str, int, str, bool, bytes)


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
    names, numbers = (*stated[:3], stated.code), (stated.tally_units, *stated[7:12])
    fit = min(numbers) > 0 <= stated.consent_epoch and all(0 < len(name) <= NAME_MAX for name in names)
    require(fit, "release body: a number that must be positive is not, or a name has no fit length")
    require(SPAN_S.get(stated.span) == stated.slot_s and stated.unit == unit_of(stated.span),
            "release body: span, its length and the unit do not go together")
    paid = Fraction(stated.bound_squared * stated.sigma_d**2, 2 * stated.sigma_p**2) == stated.rho
    require(paid, "release body: the budget stated is not that of the noise stated")
    require(stated.basis in BASES and stated.purpose in PURPOSES, "release body: basis or purpose is unknown")
    return Release._make([*head, stated, np.frombuffer(raw, "<i8"), ""])


def sha256_of(frame: bytes) -> bytes:
    """Return the hash that names the content of a frame."""
    return frame[FIXED.size : HEADER_BYTES]


def intact(frame: bytes) -> bool:
    """Return whether a frame still is what its hash names."""
    return hashlib.sha256(frame[: FIXED.size] + frame[HEADER_BYTES:]).digest() == sha256_of(frame)
