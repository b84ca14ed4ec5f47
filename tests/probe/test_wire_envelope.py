"""Messages between edge and store: pinned bytes, strict fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.base.packing import WireError, pack
from probe.wire import envelope
from probe.wire.envelope import Ack, Beat, Hello, Nack, Rel, Welcome
from tests.builders_seal import INC, golden

HASH = bytes(range(32))
MESSAGES = {
    "hello": Hello([1], [1], 1, INC, 7, 5, "footfall 0.1.0"),
    "welcome": Welcome(1, 1, 32, INC, [1, 1_976_152]),
    "rel": Rel(b"a frame"),
    "ack": Ack(INC, 6, 1, 1_976_152, HASH),
    "nack": Nack(INC, 6, 1, 1_976_152, HASH, "busy", 2),
    "beat": Beat(1_778_536_860_000, 6, [1, 1_976_152], 2),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_keep_their_golden_bytes(name):
    assert envelope.encode(MESSAGES[name]) == golden(name)
    assert envelope.decode(golden(name)) == MESSAGES[name]


@pytest.mark.parametrize("name", MESSAGES)
def test_every_truncation_and_every_added_byte_is_noticed(name):
    for cut in range(len(golden(name))):
        with pytest.raises(WireError):
            envelope.decode(golden(name)[:cut])
    with pytest.raises(WireError):
        envelope.decode(golden(name) + b"\0")


@given(st.integers(0, 8), st.binary(max_size=120))
def test_hostile_bytes_raise_only_wire_errors(kind, content):
    with pytest.raises(WireError):
        envelope.decode(bytes([kind]) + content)


WRONG = [
    ("hello", "protos", [1] * 513),
    ("hello", "protos", [True]),
    ("hello", "protos", [[1]]),
    ("hello", "schemas", [-1]),
    ("hello", "probe", -1),
    ("hello", "inc", bytes(15)),
    ("hello", "next_seq", 1 << 63),
    ("hello", "build", "x" * 65),
    ("welcome", "known_inc", bytes(3)),
    ("welcome", "last_slots", [1]),
    ("welcome", "last_slots", [1, 1 << 32]),
    ("ack", "sha256", bytes(31)),
    ("ack", "slot", "7"),
    ("nack", "code", "maybe"),
    ("nack", "retry_after_s", True),
    ("beat", "last_seq", -2),
    ("beat", "watermark_ms", -1),
]


@pytest.mark.parametrize(("name", "field", "value"), WRONG)
def test_every_field_is_checked(name, field, value):
    wrong = MESSAGES[name]._replace(**{field: value})
    with pytest.raises(WireError):
        envelope.decode(golden(name)[:1] + pack(list(wrong)))


def test_a_message_of_more_than_a_mebibyte_is_refused():
    with pytest.raises(WireError):
        envelope.decode(envelope.encode(Rel(bytes(1 << 20))))
