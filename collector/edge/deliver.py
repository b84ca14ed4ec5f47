"""The edge's half of delivery, without I/O: what to say to the store now, what its answers mean."""

from itertools import chain

from collector.edge.seal import Sealer
from collector.edge.spool import RETRY_S, SendWindow, Spool
from probe.base.main import RunError
from probe.base.packing import WireError
from probe.base.tally import Tally
from probe.wire import envelope, release
from probe.wire.envelope import LATER, Ack, Beat, Code, Hello, Nack, Rel, Welcome

WINDOW = 32


class Delivery:
    """Says HELLO until it is welcome, then sends what is sealed until it is acknowledged."""

    def __init__(self, spool: Spool, sealer: Sealer, probe: int, build: str):
        self._spool, self._sealer, self._probe, self._build = spool, sealer, probe, build
        self._window = SendWindow(WINDOW)
        for seq, sha256 in spool.waiting():
            self._window.add(seq, sha256)
        self._welcome = False
        self._asked_s = -RETRY_S
        self._beat: Beat | None = None  # the last one said
        self.watermark_ms = 0
        self.tally = Tally()

    @property
    def settled(self) -> bool:
        """Return whether everything sealed is acknowledged, and the store was told how far time has come."""
        return self._welcome and not len(self._window) and self._beat == self._beat_now()

    def add(self, sealed: tuple[int, bytes]) -> None:
        """Take what the sealer has made durable."""
        self._window.add(sealed[0], release.sha256_of(sealed[1]))

    def outgoing(self, now_s: float) -> list[bytes]:
        """Return the frames to send now.  A beat goes before the releases that it makes due."""
        if not self._welcome:
            if now_s - self._asked_s < RETRY_S:
                return []
            self._asked_s = now_s
            return [envelope.encode(self._hello())]
        ready, beat = self._window.due(now_s), self._beat_now()
        frames = [envelope.encode(beat)] if ready or beat != self._beat else []
        self._beat = beat
        for seq in ready:
            frame = self._spool.frame(seq)
            if frame is None:  # not what was sealed: never sent, and due at the store for ever
                self._window.drop(seq)
                self.tally.count("damaged")
            else:
                frames.append(envelope.encode(Rel(frame)))
        return frames

    def incoming(self, frame: bytes) -> None:
        """Take one answer; raise RunError when a person has to look."""
        try:
            answer = envelope.decode(frame)
        except WireError:
            self.tally.count("bad_answers")
            return
        if isinstance(answer, Welcome):
            self._welcome, self._beat = True, None
            for table, slot in zip(answer.last_slots[::2], answer.last_slots[1::2], strict=True):
                self._sealer.close_upto(table, slot)
        elif isinstance(answer, Ack) and answer.inc == self._spool.inc:
            if self._window.acknowledge(answer.seq, answer.sha256):
                self._spool.acknowledged(answer.seq)
                self.tally.count("acked")
        elif isinstance(answer, Nack):
            self._refused(answer)

    def _refused(self, answer: Nack) -> None:
        self.tally.count(f"nack_{answer.code}")
        if answer.code == Code.BUSY:
            self._welcome = False
        elif answer.code not in LATER and answer.inc == self._spool.inc:
            what = f"table {answer.table}, slot {answer.slot}"
            raise RunError(f"the store refused {what} ({answer.code}); the spool keeps it, look at both")

    def _hello(self) -> Hello:
        next_seq = self._spool.next_seq
        numbers = next_seq, self._window.oldest(next_seq)
        return Hello([release.PROTO], [release.SCHEMA], self._probe, self._spool.inc, *numbers, self._build)

    def _beat_now(self) -> Beat:
        last = list(chain.from_iterable(sorted(self._sealer.closed.items())))
        return Beat(self.watermark_ms, self._spool.next_seq - 1, last, len(self._window))
