"""msgpack with a seat belt: one error type, size limits, canonical bytes, no maps where columns do."""

from typing import NamedTuple

import msgpack
import numpy as np

VERSION = 1  # of every format that `opened` opens
# Of one event, the same bytes before and behind the probe.  cell: row of the plan; ta: timing advance, steps of
# 78.07 m one way; rsrp: serving + 7, TS 36.133 code: dBm = code - 140.5; aoa: half degrees.
HEARD = [("cell", "<u4"), ("kind", "u1"), ("flags", "u1"), ("ta", "<u2"), ("rsrp", "u1", (8,)),
         ("neighbour_pci", "<u2", (7,)), ("aoa", "<u2")]


class WireError(ValueError):
    """Bytes from outside do not say what they should.  Whose fault: the sender's."""


class Batch(NamedTuple("Batch", [("plan_digest", bytes), ("watermark_ms", int), ("shard", int), ("rows", np.ndarray)])):
    """Rows of one shard heard under a plan (8 bytes); no later frame of it holds a row before watermark_ms."""


def require(holds: bool, words: str) -> None:
    """Raise WireError with these words where something does not hold."""
    if not holds:
        raise WireError(words)


def pack(fields: list) -> bytes:
    """Return canonical msgpack of a flat list."""
    return msgpack.packb(fields, use_bin_type=True)


def unpack(data: bytes, types: tuple, what: str, length_max: int = 1 << 20) -> list:
    """Return the list in data after checking length, field types and canonical form.

    Canonical means packing it again gives the same bytes: no duplicate, over-long or
    trailing encodings, so that one content has one hash.  bool is not an int here.
    """
    require(len(data) <= length_max, f"{what}: {len(data)} bytes, at most {length_max} allowed")
    try:
        fields = msgpack.unpackb(data, use_list=True, max_map_len=0, max_ext_len=0, max_array_len=1 << 16)
    except Exception as error:  # msgpack raises at least five classes, all the sender's fault
        raise WireError(f"{what}: not msgpack ({type(error).__name__})") from None
    require(isinstance(fields, list) and len(fields) == len(types), f"{what}: expected {len(types)} fields")
    for index, (have, wanted) in enumerate(zip(map(type, fields), types, strict=True)):
        require(have is wanted, f"{what}: field {index} is {have.__name__}, expected {wanted.__name__}")
    require(pack(fields) == data, f"{what}: not in canonical form")
    return fields


def opened(data: bytes, magic: str, types: tuple, length_max: int) -> list:
    """Return what follows magic and version in data, or raise WireError."""
    found, version, *fields = unpack(data, (str, int, *types), magic, length_max)
    require((found, version) == (magic, VERSION), f"{magic}: of another format or version, expected {VERSION}")
    return fields


def rows_of(raw: bytes, count: int, dtype: np.dtype, what: str) -> np.ndarray:
    """Return dtype[count] of raw bytes, or raise WireError when there are more or fewer."""
    require(len(raw) == count * dtype.itemsize, f"{what}: {count} rows declared, {len(raw)} bytes")
    return np.frombuffer(raw, dtype)
