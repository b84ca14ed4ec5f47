"""The spool: durable before it leaves, checked before it leaves, one writer, and what a crash costs."""

import os
import sqlite3

import numpy as np
import pytest

from collector.edge import noise
from collector.edge import spool as spools
from collector.edge.ledger import Charge, PrivacySettings, promise
from collector.edge.seal import Sealer
from collector.edge.spool import RETRY_S, Delivery, Spool
from probe.base.main import RunError
from probe.wire import envelope, release
from probe.wire.envelope import Beat, Welcome
from probe.wire.release import Flag, Kind
from tests.builders_seal import AXES, FIRST, INC, STATEMENT, TABLES

DAY = 739_000
TALLY = np.array([500 * 900, 0, 3], "i8") * 64_000


class Killed(BaseException):
    """The process is gone."""


def by_name(*named):
    return noise.named(1, *named)


def sealer(spool, source=by_name, seeded=True, **more):
    return Sealer(spool, {1: (AXES, STATEMENT)}, 1, source, seeded, **more)


@pytest.fixture
def memory():
    return sqlite3.connect(":memory:", isolation_level=None)


def test_a_sealed_slot_is_tally_plus_its_noise_rounded_to_person_seconds(memory):
    one = release.decode(sealer(Spool(memory, INC)).seal(1, FIRST, DAY, TALLY, warming=True, epoch=6))
    drawn = by_name(1, FIRST, 3, STATEMENT.sigma_p, 1)
    assert one.values.tolist() == [round((t + n) / 64_000) for t, n in zip(TALLY.tolist(), drawn.tolist(), strict=True)]
    assert (one.seq, one.inc, one.slot, one.kind, one.flags) == (0, INC, FIRST, Kind.RELEASE, Flag.SEEDED)
    assert one.statement == STATEMENT._replace(warming=True, consent_epoch=6) and one.axes == AXES


@pytest.mark.parametrize("table", TABLES, ids=lambda one: one.name)
def test_the_noise_of_every_table_has_the_spread_it_states(memory, table):
    """sd of (release - tally) within 3 %, the mean within 4 standard errors of zero: of 20,000 cells."""
    cells, stated = 20_000, promise(PrivacySettings(), table)
    sealer = Sealer(Spool(memory, INC), {table.number: (AXES, stated)}, 1, by_name, True)
    tally = np.arange(cells) * table.tally_units
    off = release.decode(sealer.seal(table.number, FIRST, DAY, tally)).values - np.arange(cells)
    assert abs(off.std() / stated.sigma - 1) < 0.03
    assert abs(off.mean()) < 4 * stated.sigma / cells**0.5


def test_a_slot_is_closed_once_and_numbers_have_no_gap(memory):
    spool = Spool(memory, INC)
    one = sealer(spool)
    sealed = [one.seal(1, slot, DAY, TALLY) for slot in range(FIRST, FIRST + 5)]
    assert [release.decode(frame).seq for frame in sealed] == list(spool.waiting) == list(range(5))
    for slot in (FIRST, FIRST + 4):
        with pytest.raises(AssertionError):
            one.seal(1, slot, DAY, TALLY)


def test_no_slot_is_sealed_under_an_epoch_before_the_last_not_even_after_a_restart(memory):
    one = sealer(Spool(memory, INC))
    one.seal(1, FIRST, DAY, TALLY, epoch=6)
    one.lose(1, FIRST + 1, "crash")
    for again in (one, sealer(Spool(memory, INC))):
        assert again.epochs == {1: 6}
        with pytest.raises(AssertionError, match="never goes back"):
            again.seal(1, FIRST + 2, DAY, TALLY, epoch=5)
    assert release.decode(one.seal(1, FIRST + 2, DAY, TALLY, epoch=6)).statement.consent_epoch == 6


def test_a_crash_between_intent_and_release_loses_the_slot_and_keeps_the_charge(memory):
    def dies(*named):
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

    def looks(table, slot, *draws):
        seen.append(memory.execute("SELECT count(*) FROM intent WHERE slot = ?", (slot,)).fetchone()[0])
        assert not memory.in_transaction
        return by_name(table, slot, *draws)

    sealer(Spool(memory, INC), looks).seal(1, FIRST, DAY, TALLY)
    assert seen == [1]


def test_a_day_paid_at_another_price_draws_nothing(memory):
    """Restarted with another budget within a day."""
    spool = Spool(memory, INC)
    spool.intend(Charge(1, FIRST - 1, DAY, STATEMENT.rho / 2))

    def never(*named):
        raise AssertionError("drawn")

    with pytest.raises(RunError, match="change no budget within a day"):
        sealer(spool, never).seal(1, FIRST, DAY, TALLY)
    assert len(spool.charges()) == 1 and not spool.waiting


def test_the_first_draw_of_a_day_pays_for_all_of_it_after_a_restart_too(memory):
    for slot, day in ((FIRST, DAY), (FIRST + 1, DAY), (FIRST + 2, DAY + 1)):
        sealer(Spool(memory, INC)).seal(1, slot, day, TALLY)
    assert [one.rho for one in Spool(memory, INC).charges()] == [STATEMENT.rho, 0, STATEMENT.rho]


def test_a_store_that_knows_more_closes_slots_here(memory):
    spool = Spool(memory, INC)
    one = sealer(spool)
    spool.close_upto(1, FIRST + 3)
    with pytest.raises(AssertionError):
        one.seal(1, FIRST + 3, DAY, TALLY)


def test_a_witness_needs_seeded_noise(memory):
    with pytest.raises(AssertionError, match="seeded simulations only"):
        sealer(Spool(memory, INC), seeded=False, witness=lambda *seen: None)
    one = sealer(Spool(memory, INC), lambda table, slot, *draws: noise.drawn(*draws), seeded=False)
    assert release.decode(one.seal(1, FIRST, DAY, TALLY)).flags == 0


def test_every_flipped_byte_of_a_row_is_noticed(memory):
    spool = Spool(memory, INC)
    frame = sealer(spool).seal(1, FIRST, DAY, TALLY)
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
        assert all(spool.frame(seq) for seq in spool.waiting)


def test_one_writer_at_a_time_and_files_for_the_owner_only(tmp_path):
    path = tmp_path / "spool.db"
    with spools.opened(path, INC) as spool:
        sealer(spool).seal(1, FIRST, DAY, TALLY)
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(RunError, match="in use"), spools.opened(path, INC):
            pass
    with spools.opened(path, bytes(16)) as spool:
        assert spool.inc == INC and spool.next_seq == 1 and spool.waiting
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


def test_an_answer_settles_a_release_once_and_another_hash_settles_nothing(memory):
    spool = Spool(memory, INC)
    frames = [sealer(spool).seal(1, slot, DAY, TALLY) for slot in (FIRST, FIRST + 1)]
    assert not spool.acknowledge(0, b"other") and not spool.acknowledge(7, bytes(32))
    assert spool.acknowledge(0, release.sha256_of(frames[0])) and not spool.acknowledge(0, release.sha256_of(frames[0]))
    assert list(spool.waiting) == list(Spool(memory, INC).waiting) == [1]


def test_the_window_sends_the_oldest_again_and_again_until_answered(memory, monkeypatch):
    monkeypatch.setattr("collector.edge.spool.WINDOW", 2)
    spool = Spool(memory, INC)
    one = sealer(spool)
    frames = [one.seal(1, slot, DAY, TALLY) for slot in range(FIRST, FIRST + 4)]
    delivery = Delivery(spool, 1)
    assert delivery.due(0.0) == [0, 1] and delivery.due(RETRY_S - 0.1) == []
    assert delivery.due(RETRY_S) == [0, 1]
    assert spool.acknowledge(0, release.sha256_of(frames[0]))
    assert delivery.due(RETRY_S + 0.1) == [2]


def test_what_the_store_holds_and_this_spool_never_sealed_is_closed_and_counted(memory):
    """A spool restored from a copy draws none of it again; a store that claims the future closes nothing beyond."""
    spool = Spool(memory, INC)
    sealer(spool).seal(1, FIRST, DAY, TALLY)
    delivery = Delivery(spool, 1, FIRST + 9)
    delivery.incoming(envelope.encode(Welcome(1, 1, 32, INC, [1, FIRST + 3])))
    assert spool.closed[1] == FIRST + 3 and delivery.tally["held_by_store"] == 3
    delivery.incoming(envelope.encode(Welcome(1, 1, 32, INC, [1, (1 << 32) - 1])))
    assert spool.closed[1] <= FIRST + 9 and delivery.tally["held_by_store"] == 3


def test_a_damaged_release_is_never_sent(memory):
    spool = Spool(memory, INC)
    sealer(spool).seal(1, FIRST, DAY, TALLY)
    delivery = Delivery(spool, 1)
    delivery.incoming(envelope.encode(Welcome(1, 1, 32, INC, [])))
    memory.execute("UPDATE release SET sha256 = ?", (bytes(32),))
    assert [type(envelope.decode(frame)) for frame in delivery.outgoing(0.0)] == [Beat]
    assert not spool.waiting and delivery.tally["damaged"] == 1
