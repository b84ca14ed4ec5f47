"""msgpack with a seat belt: one error type, size limits, canonical bytes, no maps where columns do."""

import msgpack


class WireError(ValueError):
    """Bytes from outside do not say what they should.  Whose fault: the sender's."""


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
