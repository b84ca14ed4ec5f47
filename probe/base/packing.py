"""msgpack with a seat belt: one error type, size limits, canonical bytes, no maps where columns do.

A batch of signalling is one frame: a msgpack list of header fields, the last one the raw rows.
"""

from dataclasses import dataclass

import msgpack
import numpy as np

VERSION = 1  # of every format that `opened` opens
COUNT_MAX = 1 << 18  # rows of a batch
HEARD = [  # of one event: the same bytes before and behind the probe
    ("cell", "<u4"),  # row of the plan
    ("kind", "u1"),
    ("flags", "u1"),
    ("ta", "<u2"),  # timing advance, steps of 78.07 m one way
    ("rsrp", "u1", (8,)),  # serving + 7, TS 36.133 code: dBm = code - 140.5
    ("neighbour_pci", "<u2", (7,)),
    ("aoa", "<u2"),  # half degrees
]


class WireError(ValueError):
    """Bytes from outside do not say what they should.  Whose fault: the sender's."""


@dataclass(frozen=True)
class Batch:
    """Rows of one shard; no later frame of it holds a row before watermark_ms."""

    plan_digest: bytes  # 8 bytes
    watermark_ms: int
    shard: int
    rows: np.ndarray


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
    if len(data) > length_max:
        raise WireError(f"{what}: {len(data)} bytes, at most {length_max} allowed")
    try:
        fields = msgpack.unpackb(data, use_list=True, max_map_len=0, max_ext_len=0, max_array_len=1 << 16)
    except Exception as error:  # msgpack raises at least five classes, all the sender's fault
        raise WireError(f"{what}: not msgpack ({type(error).__name__})") from None
    if not isinstance(fields, list) or len(fields) != len(types):
        raise WireError(f"{what}: expected {len(types)} fields")
    for index, (field, wanted) in enumerate(zip(fields, types, strict=True)):
        if type(field) is not wanted:
            raise WireError(f"{what}: field {index} is {type(field).__name__}, expected {wanted.__name__}")
    if pack(fields) != data:
        raise WireError(f"{what}: not in canonical form")
    return fields


def opened(data: bytes, magic: str, types: tuple, length_max: int) -> list:
    """Return what follows magic and version in data, or raise WireError."""
    found, version, *fields = unpack(data, (str, int, *types), magic, length_max)
    if (found, version) != (magic, VERSION):
        raise WireError(f"{magic}: got {found} version {version}, expected version {VERSION}")
    return fields


def rows_of(raw: bytes, count: int, dtype: np.dtype, what: str) -> np.ndarray:
    """Return dtype[count] of raw bytes, or raise WireError when there are more or fewer."""
    if len(raw) != count * dtype.itemsize:
        raise WireError(f"{what}: {count} rows declared, {len(raw)} bytes")
    return np.frombuffer(raw, dtype)


def encode_batch(batch: Batch, magic: str, dtype: np.dtype) -> bytes:
    """Return one frame."""
    digest, watermark_ms, shard, rows = batch.plan_digest, batch.watermark_ms, batch.shard, batch.rows
    assert rows.dtype == dtype and len(rows) <= COUNT_MAX
    return pack([magic, VERSION, digest, watermark_ms, len(rows), shard, rows.tobytes()])


def decode_batch(frame: bytes, magic: str, dtype: np.dtype) -> Batch:
    """Return the batch in a frame, or raise WireError.  What the rows say is not checked."""
    types, limit = (bytes, int, int, int, bytes), COUNT_MAX * dtype.itemsize + 128
    digest, watermark_ms, count, shard, raw = opened(frame, magic, types, limit)
    if len(digest) != 8 or not 0 <= shard < 64 or not 0 <= watermark_ms < 1 << 62 or count > COUNT_MAX:
        raise WireError(f"{magic}: digest, shard, watermark or count out of range")
    return Batch(digest, watermark_ms, shard, rows_of(raw, count, dtype, magic))
