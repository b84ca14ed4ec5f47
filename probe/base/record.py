"""SQLite files of ours: marked with program and version; in autocommit mode, each statement durable when it returns."""

import sqlite3

from probe.base.main import RunError

USER_VERSION = 1


def prepare(db: sqlite3.Connection, application_id: int, schema: str) -> None:
    """Set up a new file, or raise RunError when it belongs to another program or version."""
    if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        marks = f"PRAGMA application_id = {application_id}; PRAGMA user_version = {USER_VERSION}"
        db.executescript(f"BEGIN IMMEDIATE; {schema}; {marks}; COMMIT")
    if marked(db) != (application_id, USER_VERSION):
        raise RunError(f"the file is of another program or version {marked(db)}")
    db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON")


def marked(db: sqlite3.Connection) -> tuple[int, int]:
    """Return (application id, version) of a file."""
    return db.execute("SELECT * FROM pragma_application_id, pragma_user_version").fetchone()


def close(db: sqlite3.Connection) -> None:
    """Leave one plain file behind; a reader leaves it as it was."""
    if not db.execute("PRAGMA query_only").fetchone()[0]:
        db.execute("PRAGMA journal_mode = DELETE")
    db.close()
