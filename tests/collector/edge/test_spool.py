"""The spool: durable before it leaves, checked before it leaves, one writer, and what a crash costs."""

import os
import sqlite3
from fractions import Fraction

import numpy as np
import pytest

from collector.edge import spool as spools
from collector.edge.ledger import Charge
from collector.edge.noise import SeededBits
from collector.edge.seal import Sealer
from collector.edge.spool import RETRY_S, SendWindow, Spool
from probe.base.main import RunError
from probe.wire import release
from probe.wire.release import Flag, Kind
from tests.builders_seal import AXES, FIRST, INC, STATEMENT

SHARE = Fraction(35, 1000)
DAY = 739_000
TALLY = np.array([500 * 900, 0, 3], "i8") * 64_000


class Killed(BaseException):
    """The process is gone."""


def seeded(table, slot):
    return SeededBits(1, table, slot)


def sealer(spool, source=seeded, **more):
    return Sealer(spool, {1: (STATEMENT, SHARE)}, 1, AXES, source, **more)


@pytest.fixture
def memory():
    return sqlite3.connect(":memory:", isolation_level=None)


def test_a_sealed_slot_is_tally_plus_its_noise_rounded_to_person_seconds(memory):
    seq, frame = sealer(Spool(memory, INC)).seal(1, FIRST, DAY, TALLY, warming=True)
    one = release.decode(frame)
    noise = SeededBits(1, 1, FIRST).noise(3, STATEMENT.sigma_p, 1)
    assert one.values.tolist() == [round((t + n) / 64_000) for t, n in zip(TALLY.tolist(), noise.tolist(), strict=True)]
    assert (one.seq, one.inc, one.slot, one.kind, one.flags) == (seq, INC, FIRST, Kind.RELEASE, Flag.SEEDED)
    assert one.statement.warming and one.statement.slot_rho == STATEMENT.slot_rho


def test_a_slot_is_closed_once_and_numbers_have_no_gap(memory):
    spool = Spool(memory, INC)
    one = sealer(spool)
    sealed = [one.seal(1, slot, DAY, TALLY) for slot in range(FIRST, FIRST + 5)]
    assert [seq for seq, _ in sealed] == list(range(5))
    for slot in (FIRST, FIRST + 4):
        with pytest.raises(AssertionError):
            one.seal(1, slot, DAY, TALLY)


def test_a_crash_between_intent_and_release_loses_the_slot_and_keeps_the_charge(memory):
    def dies(table, slot):
        raise Killed

    spool = Spool(memory, INC)
    sealer(spool).seal(1, FIRST, DAY, TALLY)
    with pytest.raises(Killed):
        sealer(spool, dies).seal(1, FIRST + 1, DAY, TALLY)
    again = Spool(memory, INC)
    assert len(again.charges()) == 2
    one = sealer(again, dies)
    assert one.recover() == 1
    lost = release.decode(again.frame(1))
    assert (lost.kind, lost.slot, lost.reason, lost.seq) == (Kind.LOST, FIRST + 1, "crash", 1)
    with pytest.raises(AssertionError):
        one.seal(1, FIRST + 1, DAY, TALLY)
    assert sealer(Spool(memory, INC)).recover() == 0


def test_the_charge_is_durable_before_the_first_bit_is_drawn(memory):
    seen = []

    def looks(table, slot):
        seen.append(memory.execute("SELECT count(*) FROM intent WHERE slot = ?", (slot,)).fetchone()[0])
        assert not memory.in_transaction
        return SeededBits(1, table, slot)

    sealer(Spool(memory, INC), looks).seal(1, FIRST, DAY, TALLY)
    assert seen == [1]


def test_an_overspent_day_draws_nothing(memory):
    spool = Spool(memory, INC)
    for slot in range(100):
        spool.intend(Charge(1, slot, DAY, STATEMENT.slot_rho))

    def never(table, slot):
        raise AssertionError("drawn")

    with pytest.raises(RunError, match="share"):
        sealer(spool, never).seal(1, FIRST, DAY, TALLY)
    assert len(spool.charges()) == 100 and not spool.waiting()


def test_a_store_that_knows_more_closes_slots_here(memory):
    one = sealer(Spool(memory, INC))
    one.close_upto(1, FIRST + 3)
    with pytest.raises(AssertionError):
        one.seal(1, FIRST + 3, DAY, TALLY)


def test_a_witness_needs_seeded_noise(memory):
    class Unseeded(SeededBits):
        seeded = False

    one = sealer(Spool(memory, INC), lambda table, slot: Unseeded(1, table, slot), witness=lambda *seen: None)
    with pytest.raises(AssertionError, match="seeded simulations only"):
        one.seal(1, FIRST, DAY, TALLY)


def test_every_flipped_byte_of_a_row_is_noticed(memory):
    spool = Spool(memory, INC)
    _, frame = sealer(spool).seal(1, FIRST, DAY, TALLY)
    assert spool.frame(0) == frame
    for at in range(len(frame)):
        flipped = bytearray(frame)
        flipped[at] ^= 1
        memory.execute("UPDATE release SET frame = ?", (bytes(flipped),))
        assert spool.frame(0) is None
    memory.execute("UPDATE release SET frame = ?, sha256 = ?", (frame, bytes(32)))
    assert spool.frame(0) is None


def test_a_full_disk_says_so_and_keeps_what_was_sealed(tmp_path):
    path = tmp_path / "spool.db"
    with pytest.raises(RunError, match=r"full.*what was sealed stays"), spools.opened(path, INC) as spool:
        pages = spool._db.execute("PRAGMA page_count").fetchone()[0]
        spool._db.execute(f"PRAGMA max_page_count = {pages + 1}")
        one = sealer(spool)
        for slot in range(FIRST, FIRST + 90):
            one.seal(1, slot, DAY, np.resize(TALLY, 200))
    with spools.opened(path, INC) as spool:
        assert sealer(spool).recover() <= 1
        assert all(spool.frame(seq) for seq, _ in spool.waiting())


def test_one_writer_at_a_time_and_files_for_the_owner_only(tmp_path):
    path = tmp_path / "spool.db"
    with spools.opened(path, INC) as spool:
        sealer(spool).seal(1, FIRST, DAY, TALLY)
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(RunError, match="in use"), spools.opened(path, INC):
            pass
    with spools.opened(path, bytes(16)) as spool:
        assert spool.inc == INC and spool.next_seq == 1 and spool.waiting()
    assert [one.name for one in tmp_path.iterdir()] == ["spool.db"]


def test_a_foreign_file_is_refused(tmp_path):
    path = tmp_path / "spool.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE mine(x)")
    with pytest.raises(RunError, match="another program"), spools.opened(path, INC):
        pass
    path.write_bytes(os.urandom(5000))
    with pytest.raises(RunError, match=r"spool\.db"), spools.opened(path, INC):
        pass


def test_the_window_sends_the_oldest_again_and_again_until_answered():
    window = SendWindow(2)
    for seq in range(4):
        window.add(seq, bytes([seq]))
    assert window.due(0.0) == [0, 1] and window.due(RETRY_S - 0.1) == []
    assert window.due(RETRY_S) == [0, 1]
    assert not window.acknowledge(0, b"other")
    assert window.acknowledge(0, bytes([0])) and not window.acknowledge(0, bytes([0]))
    assert window.due(RETRY_S + 0.1) == [2] and (window.oldest(9), len(window)) == (1, 3)
    assert SendWindow(2).oldest(9) == 9
