"""No subscriber number and no pseudonym in any file or byte that leaves the edge; planted ones are found."""

import tempfile
from pathlib import Path

import numpy as np
import pytest

from probe.base.clock import midnights_ms
from probe.identity import Keys, pseudonyms, seeded_key
from simulator import bench, scenario
from simulator.population import country, persons_of, subscriber_numbers, subscribers
from tests.scanner import found_in


@pytest.fixture(scope="module")
def identifiers():
    """Return every subscriber number of the village, and every pseudonym of its day."""
    one = scenario.load("village", [])
    seed, zone = one.world.seed, one.world.zone
    keys = Keys(seeded_key(seed), zone, one.start_ms, 60_000)
    days = len(midnights_ms(one.start_ms, one.end_ms, zone)) - 1
    keys.hold(one.start_ms, one.end_ms)
    person = np.arange(persons_of(one.handsets, one.population.share), dtype="u8")
    names = [pseudonyms(person, np.full(len(person), day, "i8"), keys.keys) for day in range(days)]
    known = subscribers(country(one.areas, one.population), seed, one.handsets, one.population)
    assert np.any(known["country"] != 262)  # guests from abroad too
    return np.concatenate([known["subscriber"][np.argsort(known["person"])], *names])


ENCODINGS = {
    "little endian": lambda number: number.to_bytes(8, "little"),
    "big endian": lambda number: number.to_bytes(8, "big"),
    "decimal": lambda number: str(number).encode(),
    "hexadecimal": lambda number: f"{number:X}".encode(),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("place", [0, 3, 1_000_001])
def test_a_planted_identifier_is_found(identifiers, encoding, place):
    planted = int(identifiers[place % len(identifiers)])
    haystack = b"\x07" * place + ENCODINGS[encoding](planted) + b"\x07" * 13
    assert planted in found_in(haystack, identifiers)


def test_no_file_of_a_run_holds_an_identifier(village, identifiers):
    files = [path for path in village[0].rglob("*") if path.is_file()]
    assert len(files) > 8
    for path in files:
        assert not found_in(path.read_bytes(), identifiers), path.name


def test_no_byte_between_edge_and_store_holds_an_identifier(identifiers, monkeypatch):
    carried = []
    handle = bench.receiver.handle

    def overheard(group, *rest):
        answers = handle(group, *rest)
        carried.extend(frame for _, frame in [*group, *answers])
        return answers

    monkeypatch.setattr(bench.receiver, "handle", overheard)
    with tempfile.TemporaryDirectory() as folder:
        chain = bench.Chain("village", ["world.hours=2"], Path(folder))
        chain.run()
        assert chain.events > 100
    assert len(carried) > 16
    assert not found_in(b"".join(carried), identifiers)


def test_subscriber_numbers_are_fifteen_digits_no_two_alike_and_in_no_order(identifiers):
    numbers = subscriber_numbers(1, np.full(20_000, 262))
    assert np.all((numbers >= 10**14) & (numbers < 10**15))
    assert len(np.unique(numbers)) == len(numbers)
    assert abs(np.corrcoef(np.arange(len(numbers)), numbers)[0, 1]) < 0.03
