"""Delivery under every fault: half of all frames lost, doubled, late; edge and store killed anywhere.

No socket, no thread, no sleep: both halves are driven step by step from one seed.  The
invariants are those of the delivery protocol: I1 one value a slot outside, I2 stored at
most once, I3 acknowledged only what is durable, I4 the same bytes everywhere, I5 one draw a
slot, I6 settled here only if stored there, I7 no silent gap, I8 a lost slot has no value
outside, I9 numbers without gap, I11 charged before drawn.
"""

import random
import sqlite3

import numpy as np
import pytest

from collector.centre import receiver
from collector.centre.completeness import account
from collector.centre.intake import Intake
from collector.centre.stores.sqlite import APPLICATION_ID, SCHEMA, Sqlite
from collector.edge import noise
from collector.edge.ledger import Ledger
from collector.edge.seal import Sealer
from collector.edge.spool import Delivery, Spool
from probe.base import record
from probe.base.tally import Tally
from probe.wire import envelope, release
from probe.wire.envelope import Ack, Rel
from probe.wire.release import Kind
from tests.builders_seal import AXES, FIRST, INC, STATEMENT, registered

SLOTS = 12
SEEDS = 60
STEPS = 250


def due_ms(slot):
    return (slot + 1) * 900_000 + 60_000


class Killed(BaseException):
    """The process is gone; what was not committed is gone with it."""


class Mortal:
    """A database connection whose process dies before or after some statement."""

    def __init__(self, db):
        self.db, self.fuse, self.after = db, None, False

    def arm(self, fuse, after):
        self.fuse, self.after = fuse, after

    def burn(self):
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                raise Killed

    def run(self, function, *given):
        if not self.after:
            self.burn()
        found = function(*given)
        if self.after:
            self.burn()
        return found

    def execute(self, *given):
        return self.run(self.db.execute, *given)

    def executemany(self, *given):
        return self.run(self.db.executemany, *given)

    def executescript(self, *given):
        return self.run(self.db.executescript, *given)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        """Commit, which may be what a process dies of; who is dead already commits nothing."""
        if error[0] is None:
            self.run(self.db.commit)

    @property
    def in_transaction(self):
        return self.db.in_transaction

    def revive(self):
        self.fuse = None
        if self.db.in_transaction:
            self.db.execute("ROLLBACK")


class Rehearsal:
    """Edge, store and the link between them, all moved by one seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.edge_db, self.store_db = (Mortal(sqlite3.connect(":memory:", isolation_level=None)) for _ in range(2))
        self.now_s, self.next_slot, self.lives = 0.0, FIRST, 0
        self.up, self.down = [], []  # in flight: (connection, frame)
        self.draws, self.outside, self.acked = {}, {}, set()
        record.prepare(self.store_db, APPLICATION_ID, SCHEMA)
        Sqlite(self.store_db).register([registered(SLOTS // 4)])
        self.start_store()
        self.start_edge()

    def start_edge(self):
        self.edge_db.revive()
        self.lives += 1
        self.spool = Spool(self.edge_db, INC)
        self.sealer = Sealer(self.spool, {1: (AXES, STATEMENT)}, 1, self.source, True)
        self.sealer.recover()
        self.delivery = Delivery(self.spool, 1)
        self.delivery.watermark_ms = due_ms(self.next_slot - 1)

    def start_store(self):
        self.store_db.revive()
        self.store = Sqlite(self.store_db)
        self.intake = Intake(self.store.registered(), {1: self.store.known(1)})

    def source(self, table, slot, *draws):
        durable = self.edge_db.db.execute("SELECT count(*) FROM intent WHERE slot = ?", (slot,)).fetchone()
        assert durable == (1,) and not self.edge_db.in_transaction, "I11"
        self.draws[slot] = self.draws.get(slot, 0) + 1
        return noise.named(self.lives, table, slot, *draws)  # a second draw would show as another value

    # steps

    def step(self, loss):
        action = self.random.choice((self.seal, self.speak, self.speak, self.carry_up, self.carry_down))
        try:
            action(loss)
        except Killed:
            dead = self.edge_db if action in (self.seal, self.speak, self.carry_down) else self.store_db
            self.start_edge() if dead is self.edge_db else self.start_store()

    def threaten(self):
        for mortal in (self.edge_db, self.store_db):
            if mortal.fuse is None and self.random.random() < 0.1:
                mortal.arm(self.random.randrange(12), self.random.random() < 0.5)

    def seal(self, loss):
        if self.next_slot >= FIRST + SLOTS:
            return
        slot, self.next_slot = self.next_slot, self.next_slot + 1
        self.delivery.watermark_ms = due_ms(slot)
        if slot > self.spool.closed.get(1, -1):
            try:
                self.sealer.seal(1, slot, 739_000, np.full(3, 10**9), False)
            except Killed:
                self.edge_db.revive()
                begun = "SELECT count(*) FROM intent WHERE slot = ?"
                if self.edge_db.execute(begun, (slot,)).fetchone() == (0,):
                    self.next_slot = slot  # its parts are still with the workers
                raise

    def speak(self, loss):
        self.now_s += self.random.random()
        for frame in self.delivery.outgoing(self.now_s):
            message = envelope.decode(frame)
            if isinstance(message, Rel):
                one = release.decode(message.frame)
                self.outside.setdefault(one.slot, set()).add((one.kind, message.frame))
            self.send(self.up, (b"edge %d" % self.lives, frame), loss)

    def send(self, flight, message, loss):
        if self.random.random() >= loss:
            flight += [message] * self.random.choice((1, 1, 2))

    def carry_up(self, loss):
        group = [self.take(self.up) for _ in range(min(len(self.up), self.random.randrange(1, 4)))]
        for source, answer in receiver.handle(group, self.intake, self.store, Tally()):
            message = envelope.decode(answer)
            if isinstance(message, Ack):
                self.acked.add((message.slot, message.sha256))
                assert message.sha256 in self.stored_hashes(), "I3"
            self.send(self.down, (source, answer), loss)

    def carry_down(self, loss):
        if self.down:
            source, answer = self.take(self.down)
            if source == b"edge %d" % self.lives:
                self.delivery.incoming(answer)
        settled = self.edge_db.db.execute("SELECT sha256 FROM release WHERE acked").fetchall()
        assert {sha256 for (sha256,) in settled} <= self.stored_hashes(), "I6"

    def take(self, flight):
        return flight.pop(self.random.randrange(len(flight)))

    def stored_hashes(self):
        assert not self.store_db.in_transaction, "an answer before the commit"
        return {sha256 for (sha256,) in self.store_db.db.execute("SELECT sha256 FROM release")}

    # the whole

    def run(self):
        for _ in range(STEPS):
            self.threaten()
            self.step(loss=0.5)
        for mortal, start in ((self.edge_db, self.start_edge), (self.store_db, self.start_store)):
            if mortal.fuse is not None:
                mortal.revive()
                start()
        for _ in range(4_000):
            self.step(loss=0.0)
            if self.next_slot == FIRST + SLOTS and self.delivery.settled and not self.up:
                break
        self.check()
        return self

    def check(self):
        assert all(count == 1 for count in self.draws.values()), "I5"
        assert all(len(values) == 1 for values in self.outside.values()), "I1, I8"
        sealed = self.edge_db.db.execute("SELECT seq, slot, frame FROM release ORDER BY seq").fetchall()
        stored = self.store_db.db.execute("SELECT seq, slot, frame FROM release ORDER BY seq").fetchall()
        assert sealed == stored, "I4, L1"
        assert [seq for seq, *_ in sealed] == list(range(len(sealed))), "I9"
        assert [slot for _, slot, _ in sealed] == list(range(FIRST, FIRST + SLOTS)), "I2, I7"
        lost = {slot for _, slot, frame in sealed if release.decode(frame).kind == Kind.LOST}
        assert account(self.store) == {"due": SLOTS, "stored": SLOTS - len(lost), "lost": len(lost)}
        assert len(self.spool.charges()) == len(set(self.draws) | lost), "I11"
        assert not self.store_db.db.execute("SELECT * FROM quarantine").fetchall()
        self.lost = len(lost)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_fault_breaks_an_invariant(seed):
    Rehearsal(seed).run()


def test_the_faults_were_there():
    """Over all seeds: edges died, slots were lost to crashes, and most were not."""
    runs = [Rehearsal(seed).run() for seed in range(20)]
    lost, lives = sum(run.lost for run in runs), sum(run.lives for run in runs)
    assert lives > 100 and 0 < lost < 20 * SLOTS / 2


def answers_before_commit(group, intake, store, tally):
    answers = []
    for source, frame in group:
        decision = intake.take(source, frame)
        if decision.answer is not None:
            answers.append((source, decision.answer))
        if decision.entry is not None and (answer := intake.settle(decision.entry, None)):
            answers.append((source, answer))
    return answers


def redraws(self):
    self._spool._db.execute("DELETE FROM intent WHERE slot NOT IN (SELECT slot FROM release)")
    self._ledger = Ledger({1: STATEMENT.rho}, self._spool.charges())
    return 0


def settles_when_sent(self, now_s):
    ready = due(self, now_s)
    for seq in ready:
        self._spool.acknowledge(seq, self._spool.waiting[seq])
    return ready


def skips_in_silence(self):
    for table, slot in self._spool.orphans():
        self._spool.close_upto(table, slot)
    return 0


due = Delivery.due
MUTANTS = {
    "answer before the commit": (receiver, "handle", answers_before_commit),
    "draw again after a crash": (Sealer, "recover", redraws),
    "settle what was only sent": (Delivery, "due", settles_when_sent),
    "skip a crashed slot in silence": (Sealer, "recover", skips_in_silence),
}


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)
def test_a_protocol_with_a_fault_of_its_own_is_caught(mutant, monkeypatch):
    monkeypatch.setattr(*mutant)
    if mutant[2] is redraws:
        monkeypatch.setattr(Rehearsal, "seal", seal_again)
    with pytest.raises(AssertionError):
        for seed in range(20):
            Rehearsal(seed).run()


def seal_again(self, loss):
    """The slot that crashed is offered to the sealer once more."""
    self.next_slot = max(FIRST, self.next_slot - (self.spool.closed.get(1, -1) < self.next_slot - 1))
    seal(self, loss)


seal = Rehearsal.seal
