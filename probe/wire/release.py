"""The only thing that leaves the edge: one table and slot, dense, noised, immutable.

A release is one frame: a fixed header of 91 bytes in network order, whose last field is
the SHA-256 of the rest, and a body.  The body of a RELEASE is a statement of what was
promised and the values as fixed-width integers, so that sizes do not speak; that of a
slot that was lost is the reason.
"""

import hashlib
import struct
from dataclasses import astuple, dataclass, fields, replace
from enum import IntEnum, IntFlag
from fractions import Fraction

import numpy as np

from probe.base.packing import WireError, pack, unpack
from probe.wire.consent import BASES, PURPOSES

PROTO, SCHEMA, MAGIC = 1, 1, b"PRL1"
SIZE_MAX = (1 << 20) - 64  # with its envelope below the 1 MiB of a message
FIXED = struct.Struct("!4sHHI16sQHI8sBHHI")
HEADER_BYTES = FIXED.size + 32
DISCRETE_GAUSSIAN = 1  # the mechanism of a RELEASE; the other kinds have none
NAME_MAX = 64
# What became of the slot.  VOID: sealed, but its bytes were damaged before they were delivered.
Kind = IntEnum("Kind", "RELEASE LOST VOID")
# What befell the system while it counted; nothing here depends on a person.  SEEDED: the noise can be computed
# again, and such a release protects nobody.
Flag = IntFlag("Flag", "CLOCK_STEP PARTIAL_TAP DEGRADED SEEDED")


@dataclass(frozen=True)
class Statement:
    """What a table promises.  Tally units are the integers that the noise is added to."""

    table: str
    axes: str  # of the rows; the list behind it is named by the header's axes hash
    value_unit: str
    tally_units: int  # in one value
    slot_s: int
    slots_a_day: int  # at most, on a local day of 25 hours
    bound: int  # what one subscriber can add to one slot at most (L2), tally units
    sigma_p: int  # sigma = sigma_p / sigma_d, tally units
    sigma_d: int
    rho_numerator: int  # of one subscriber-day in this table, by the sigma above
    rho_denominator: int
    basis: str
    purpose: str
    consent_epoch: int = 0
    warming: bool = False  # people are still being met: after a start, after a local midnight

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


@dataclass(frozen=True)
class Release:
    """One sealed slot.  A RELEASE has statement and values, the other kinds have a reason."""

    probe: int
    inc: bytes  # 16 bytes that name the spool
    seq: int
    table: int
    slot: int  # on the grid of the table
    axes: bytes  # 8 bytes: digest of the public list of rows
    kind: Kind
    flags: Flag
    statement: Statement | None = None
    values: np.ndarray | None = None  # i8[rows]
    reason: str = ""


STATED = (*(field.type for field in fields(Statement)), bytes)


def encode(release: Release) -> bytes:
    """Return the frame of a release."""
    body = pack([release.reason])
    if release.statement is not None and release.values is not None:
        body = pack([*astuple(release.statement), release.values.astype("<i8").tobytes()])
    named = release.probe, release.inc, release.seq, release.table, release.slot, release.axes
    mechanism = DISCRETE_GAUSSIAN if release.kind == Kind.RELEASE else 0
    fixed = FIXED.pack(MAGIC, PROTO, SCHEMA, *named, release.kind, release.flags, mechanism, len(body))
    frame = fixed + hashlib.sha256(fixed + body).digest() + body
    assert len(frame) <= SIZE_MAX, "an area set fits into a release"
    return frame


def decode(frame: bytes) -> Release:
    """Return the release in a frame, or raise WireError.  Header and hash come before the body."""
    if not HEADER_BYTES <= len(frame) <= SIZE_MAX:
        raise WireError(f"release: {len(frame)} bytes, expected {HEADER_BYTES} to {SIZE_MAX}")
    body = frame[HEADER_BYTES:]
    magic, proto, schema, *named, kind, flags, mechanism, size = FIXED.unpack(frame[: FIXED.size])
    if (magic, proto, schema) != (MAGIC, PROTO, SCHEMA):
        raise WireError(f"release: {magic!r} protocol {proto} schema {schema} is unknown")
    if size != len(body) or not intact(frame):
        raise WireError("release: the body is not what the header says")
    if kind not in list(Kind) or flags > sum(Flag) or mechanism != (kind == Kind.RELEASE) or named[2] >= 1 << 63:
        raise WireError("release: kind, flags, mechanism or sequence number out of range")
    head = Release(*(*named, Kind(kind), Flag(flags)))
    if kind != Kind.RELEASE:
        return replace(head, reason=unpack(body, (str,), "release body", 4 * NAME_MAX)[0])
    *stated, raw = unpack(body, STATED, "release body", SIZE_MAX)
    if not raw or len(raw) % 8:
        raise WireError(f"release body: {len(raw)} bytes of values")
    return replace(head, statement=checked(Statement(*stated)), values=np.frombuffer(raw, "<i8"))


def checked(stated: Statement) -> Statement:
    """Return a statement that agrees with itself, or raise WireError."""
    named = stated.table, stated.axes, stated.value_unit
    if min(astuple(stated)[3:11]) < 1 or stated.consent_epoch < 0 or not all(0 < len(one) <= NAME_MAX for one in named):
        raise WireError("release body: a number that must be positive is not, or a name has no fit length")
    if stated.slots_a_day * stated.slot_rho != stated.rho:
        raise WireError("release body: the budget stated is not that of the noise stated")
    if stated.basis not in BASES or stated.purpose not in PURPOSES:
        raise WireError("release body: basis or purpose is unknown")
    return stated


def sha256_of(frame: bytes) -> bytes:
    """Return the hash that names the content of a frame."""
    return frame[FIXED.size : HEADER_BYTES]


def intact(frame: bytes) -> bool:
    """Return whether a frame still is what its hash names."""
    return hashlib.sha256(frame[: FIXED.size] + frame[HEADER_BYTES:]).digest() == sha256_of(frame)
