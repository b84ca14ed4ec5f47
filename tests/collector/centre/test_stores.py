"""Stores: the contract, and what SQLite adds: triggers, readers beside the writer, other files refused."""

import sqlite3
from datetime import datetime

import pytest

from collector.centre.stores import Offered, Refused, check
from collector.centre.stores.sqlite import QUARANTINE_MAX, Sqlite, SqliteStore
from probe.base import plugins
from probe.base.clock import epoch_ms
from probe.base.config import ConfigError
from probe.base.main import RunError
from probe.wire import release
from tests.builders_seal import FIRST, a_loss, a_release, a_release_of, offered, registered

FRAMES = [release.encode(one) for one in (
    a_release_of(7, FIRST, seq=0), a_release_of(9, FIRST + 1, seq=1), a_loss(FIRST + 2, seq=2))]


@pytest.mark.parametrize("name", plugins.installed("footfall.stores"))
def test_every_store_keeps_the_contract(name, tmp_path):
    settings = plugins.settings("footfall.stores", "store", {"kind": name, "path": str(tmp_path / "store")})
    assert check.broken(settings.build, registered(), FRAMES) == []


def test_what_is_expected_are_the_whole_spans_of_a_run():
    """From 02:00 on the day of 25 hours to 02:00 of the second day after: its first part and day are not whole."""
    first = epoch_ms(datetime(2026, 10, 25, 2), "Europe/Berlin") // 900_000
    one = registered(first_slot=first, until_slot=first + 4 * 49, lateness_s=960, span="part")
    begins = [slot - first for slot in one.spans]
    assert begins == [4 * hour for hour in (3, 7, 11, 15, 19, 23, 27, 31, 35, 39, 43)]
    slot, (_, end_ms) = next(iter(one.spans.items()))
    assert one.due_ms(slot) == end_ms + 960_000 and end_ms == 900_000 * (slot + 16)
    assert [(slot - first) / 4 for slot in one._replace(span="day").spans] == [23]
    assert one._replace(span="week").spans == {}


class Forgetful(Sqlite):
    """Replaces what is stored: the one thing that a store must not do."""

    def _write(self, entry):
        if isinstance(entry, Offered):
            key = (entry.release.probe, entry.release.table, entry.release.slot)
            self._db.execute("DROP TRIGGER IF EXISTS no_delete")
            self._db.execute("DELETE FROM release WHERE probe = ? AND tab = ? AND slot = ?", key)
        return super()._write(entry)


def test_a_store_that_replaces_is_caught(tmp_path):
    def build():
        store = SqliteStore(path=str(tmp_path / "store")).build()
        return Forgetful(store._db)

    assert "a conflict replaces nothing" in check.broken(build, registered(), FRAMES)


class Careless(Sqlite):
    """Takes the epoch of any release for that of the last."""

    def known(self, probe):
        return super().known(probe)._replace(epochs={1: (FIRST, 7)})


def test_a_store_that_forgets_an_epoch_is_caught(tmp_path):
    found = check.broken(lambda: Careless(SqliteStore(path=str(tmp_path / "store")).build()._db), registered(), FRAMES)
    assert found == ["the epoch of the last release is known, of a lost slot none is"]


def test_a_damaged_frame_does_not_hide_the_epoch_before_it(tmp_path):
    store = SqliteStore(path=str(tmp_path / "store.db")).build()
    store.write([offered(frame) for frame in FRAMES[:2]])
    store._db.execute("DROP TRIGGER no_update")
    store._db.execute("UPDATE release SET frame = zeroblob(500) WHERE slot = ?", (FIRST + 1,))
    assert store.known(1).epochs == {1: (FIRST, 7)}
    store.close()


def test_what_is_stored_is_never_changed_even_by_hand(tmp_path):
    path = tmp_path / "store.db"
    store = SqliteStore(path=str(path)).build()
    store.write([offered(FRAMES[0])])
    store.close()
    for statement in ("UPDATE release SET slot = 1", "DELETE FROM release"):
        with sqlite3.connect(path) as db, pytest.raises(sqlite3.IntegrityError, match="never corrected"):
            db.execute(statement)


def test_readers_see_what_is_committed_and_cannot_write(tmp_path):
    settings = SqliteStore(path=str(tmp_path / "store.db"))
    writer = settings.build()
    writer.write([offered(FRAMES[0])])
    reader = settings.reader()
    writer.write([offered(FRAMES[1])])
    assert list(reader.frames(1)) == FRAMES[:2]
    with pytest.raises(RunError, match="readonly"):
        reader.write([offered(FRAMES[0])])
    reader.close()
    writer.close()
    assert [one.name for one in tmp_path.iterdir()] == ["store.db"]


def test_other_files_are_no_stores(tmp_path):
    for name, content in {"a": b"", "b": b"no database" * 99}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError):
            SqliteStore(path=str(tmp_path / name)).reader()
    with pytest.raises(RunError):
        SqliteStore(path=str(tmp_path / "b")).build()


def test_quarantine_does_not_grow_for_ever(tmp_path):
    store = SqliteStore(path=str(tmp_path / "store.db")).build()
    store.write([Refused(1, "malformed", bytes(5_000))] * (QUARANTINE_MAX + 50))
    rows = store._db.execute("SELECT count(*), max(length(head)) FROM quarantine").fetchone()
    assert rows == (QUARANTINE_MAX, 4_096)
    store.close()


def test_a_full_disk_stores_all_of_a_group_or_nothing(tmp_path):
    store = SqliteStore(path=str(tmp_path / "store.db")).build()
    store._db.execute(f"PRAGMA max_page_count = {store._db.execute('PRAGMA page_count').fetchone()[0] + 2}")
    frames = [release.encode(a_release(FIRST + i, [7] * 200, i)) for i in range(20)]
    with pytest.raises(RunError, match="full"):
        store.write([offered(frame) for frame in frames])
    assert not list(store.frames(1))
    store.close()
