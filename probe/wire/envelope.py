"""What edge and store say to each other: one frame a message, a type byte and a packed list.

edge   HELLO ->                 who I am, what I speak, where my spool stands
store        <- WELCOME         what we speak, how much may be under way, what I hold
edge   BEAT ->                  how far event time has come: what is due
edge   REL ->                   one release
store        <- ACK, NACK       it is durable here; it is not, and why
"""

from dataclasses import astuple, dataclass, fields
from enum import StrEnum
from typing import Any

from probe.base.packing import WireError, pack, unpack

MESSAGE_MAX = 1 << 20


class Code(StrEnum):
    """Why a release was not taken: the first three keep it, the others need a person."""

    BUSY = "busy"
    SKEW = "skew"
    UNKNOWN_SCHEMA = "unknown_schema"
    MALFORMED = "malformed"
    FORBIDDEN = "forbidden"
    CONFLICT = "conflict"


LATER = (Code.BUSY, Code.SKEW, Code.UNKNOWN_SCHEMA)


@dataclass(frozen=True)
class Hello:
    """First word of an edge, and again whenever it is not known."""

    protos: list
    schemas: list
    probe: int
    inc: bytes
    next_seq: int
    oldest_unacked: int  # next_seq when nothing waits
    build: str


@dataclass(frozen=True)
class Welcome:
    """The session stands."""

    proto: int
    schema: int
    window: int
    known_inc: bytes  # b"" = none yet
    last_slots: list  # table, slot, table, slot ...: the edge closes every slot up to it


@dataclass(frozen=True)
class Rel:
    """One release, the bytes of the spool."""

    frame: bytes


@dataclass(frozen=True)
class Ack:
    """Durable in the store."""

    inc: bytes
    seq: int
    table: int
    slot: int
    sha256: bytes


@dataclass(frozen=True)
class Nack:
    """Not taken."""

    inc: bytes
    seq: int
    table: int
    slot: int
    sha256: bytes
    code: str
    retry_after_s: int


@dataclass(frozen=True)
class Beat:
    """How far event time has come, and what has been sealed."""

    watermark_ms: int
    last_seq: int  # -1 = nothing yet
    last_slots: list  # table, slot, table, slot ...
    spool_depth: int


Message = Hello | Welcome | Rel | Ack | Nack | Beat
TYPES = (Hello, Welcome, Rel, Ack, Nack, Beat)
BYTES = {"inc": (16,), "known_inc": (0, 16), "sha256": (32,)}
LIST_MAX = 512


def encode(message: Message) -> bytes:
    """Return one frame."""
    return bytes([TYPES.index(type(message)) + 1]) + pack(list(astuple(message)))


def decode(frame: bytes) -> Message:
    """Return the message in a frame, or raise WireError."""
    if not 2 <= len(frame) <= MESSAGE_MAX or not 1 <= frame[0] <= len(TYPES):
        raise WireError(f"message: {len(frame)} bytes, first {frame[:1]!r}")
    kind = TYPES[frame[0] - 1]
    types = tuple(field.type for field in fields(kind))
    content = unpack(frame[1:], types, kind.__name__.lower(), MESSAGE_MAX)
    for field, value in zip(fields(kind), content, strict=True):
        if not _fits(field.name, value):
            raise WireError(f"{kind.__name__.lower()}: {field.name} is out of range")
    return kind(*content)


def _fits(name: str, value: Any) -> bool:
    if isinstance(value, list):
        pairs = name != "last_slots" or len(value) % 2 == 0
        return pairs and len(value) <= LIST_MAX and all(type(n) is int and 0 <= n < 1 << 32 for n in value)
    if isinstance(value, str):
        return value in list(Code) if name == "code" else len(value) <= 64
    if isinstance(value, bytes):
        return len(value) in BYTES.get(name, [len(value)])
    return (-1 if name == "last_seq" else 0) <= value < 1 << 63
