"""The edge's half of delivery, without I/O: what to say to the store now, what its answers mean."""

from importlib.metadata import version
from itertools import islice
from math import inf

from collector.edge.gather import SLOT_MAX
from collector.edge.spool import Spool
from probe.base.main import RunError
from probe.base.packing import WireError
from probe.base.tally import Tally
from probe.wire import envelope, release
from probe.wire.envelope import Ack, Beat, Code, Hello, Nack, Rel, Welcome

WINDOW = 32
BUILD = f"footfall {version('footfall')}"
RETRY_S = 2.0


class Delivery:
    """Says HELLO until it is welcome, then sends what waits in the spool until it is acknowledged."""

    def __init__(self, spool: Spool, probe: int, last_slot: int = SLOT_MAX):
        self._spool, self._probe, self._last_slot = spool, probe, last_slot
        self.welcome, self._asked_s = False, -inf
        self._sent_s: dict[int, float] = {}  # by sequence number, of the window
        self._beat: Beat | None = None  # the last one said
        self.watermark_ms, self.tally = 0, Tally()

    @property
    def settled(self) -> bool:
        """Return whether everything sealed is acknowledged, and the store was told how far time has come."""
        return self.welcome and not self._spool.waiting and self._beat == self._beat_now()

    def outgoing(self, now_s: float) -> list[bytes]:
        """Return the frames to send now.  A beat goes before the releases that it makes due."""
        spool = self._spool
        if not self.welcome:
            if now_s - self._asked_s < RETRY_S:
                return []
            self._asked_s = now_s
            stands = spool.inc, spool.next_seq, next(iter(spool.waiting), spool.next_seq)
            return [envelope.encode(Hello([release.PROTO], [release.SCHEMA], self._probe, *stands, BUILD))]
        ready, beat = self.due(now_s), self._beat_now()
        frames = [envelope.encode(beat)] if ready or beat != self._beat else []
        self._beat = beat
        for seq in ready:
            if frame := spool.frame(seq):
                frames.append(envelope.encode(Rel(frame)))
            else:  # not what was sealed: never sent, and due at the store for ever
                del spool.waiting[seq]
                self.tally.count("damaged")
        return frames

    def due(self, now_s: float) -> list[int]:
        """Return what to send now: of the oldest that fit the window, the new and those unanswered for RETRY_S."""
        window = {seq: self._sent_s.get(seq, -inf) for seq in islice(self._spool.waiting, WINDOW)}
        ready = [seq for seq, sent_s in window.items() if now_s - sent_s >= RETRY_S]
        self._sent_s = window | dict.fromkeys(ready, now_s)
        return ready

    def incoming(self, frame: bytes) -> None:
        """Take one answer; raise RunError when a person has to look."""
        try:
            answer = envelope.decode(frame)
        except WireError:
            return self.tally.count("bad_answers")
        if isinstance(answer, Welcome):
            self.welcome, self._beat = True, None
            for table, slot in zip(answer.last_slots[::2], answer.last_slots[1::2], strict=True):
                ahead = slot - self._spool.closed.get(table, slot)  # what this spool, perhaps a copy, never sealed
                self.tally.count("held_by_store", max(ahead, 0) if slot <= self._last_slot else 0)
                self._spool.close_upto(table, min(slot, self._last_slot))
        elif isinstance(answer, Ack) and answer.inc == self._spool.inc:
            self.tally.count("acked", self._spool.acknowledge(answer.seq, answer.sha256))
        elif isinstance(answer, Nack):
            self.tally.count(f"nack_{answer.code}")
            self.welcome &= answer.code != Code.BUSY
            if answer.code not in envelope.LATER and answer.inc == self._spool.inc:
                raise RunError(f"the store refused table {answer.table}, slot {answer.slot} ({answer.code}); "
                               "the spool keeps it, look at both")

    def _beat_now(self) -> Beat:
        spool = self._spool
        return Beat(self.watermark_ms, spool.next_seq - 1, envelope.pairs(spool.closed), len(spool.waiting))
