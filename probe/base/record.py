"""SQLite files of ours: marked with program and version, durable at every commit, whole transactions."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from probe.base.main import RunError

USER_VERSION = 1


def prepare(db: sqlite3.Connection, application_id: int, schema: tuple[str, ...]) -> None:
    """Set up a new file, or raise RunError when it belongs to another program or version."""
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
        db.execute(f"PRAGMA {pragma}")
    if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        marks = (f"PRAGMA application_id = {application_id}", f"PRAGMA user_version = {USER_VERSION}")
        with transaction(db):
            for statement in (*schema, *marks):
                db.execute(statement)
    if marked(db) != (application_id, USER_VERSION):
        raise RunError(f"the file is of another program or version {marked(db)}")


def marked(db: sqlite3.Connection) -> tuple[int, int]:
    """Return (application id, version) of a file."""
    found = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
    return found[0], found[1]


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Commit all or nothing; db is in autocommit mode."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def close(db: sqlite3.Connection) -> None:
    """Leave one plain file behind."""
    db.execute("PRAGMA journal_mode = DELETE")
    db.close()
