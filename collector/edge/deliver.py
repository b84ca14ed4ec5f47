"""The edge's half of delivery, without I/O: what to say to the store now, what its answers mean."""

from collector.edge.seal import Sealer
from collector.edge.spool import RETRY_S, DamagedRow, SendWindow, Spool, State
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
        self._beat: Beat | None = None
        self.watermark_ms = 0
        self.tally = Tally()

    @property
    def settled(self) -> bool:
        """Return whether everything sealed is acknowledged, and the store knows how far time has come."""
        return self._welcome and not len(self._window) and self._beat == self._beat_now()

    def add(self, sealed: tuple[int, bytes]) -> None:
        """Take what the sealer has made durable."""
        seq, frame = sealed
        self._window.add(seq, release.sha256_of(frame))

    def outgoing(self, now_s: float) -> list[bytes]:
        """Return the frames to send now.  A beat goes before the releases that it makes due."""
        if not self._welcome:
            if now_s - self._asked_s < RETRY_S:
                return []
            self._asked_s = now_s
            return [envelope.encode(self._hello())]
        frames = []
        ready = self._window.due(now_s)
        beat = self._beat_now()
        if beat != self._beat or ready:
            self._beat = beat
            frames.append(envelope.encode(beat))
        for seq in ready:
            try:
                frames.append(envelope.encode(Rel(self._spool.frame(seq))))
            except DamagedRow:
                self._void(seq)
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
            for table, slot in answer.last_slots:
                self._sealer.close_upto(table, slot)
        elif isinstance(answer, Ack) and answer.inc == self._spool.inc:
            if self._window.acknowledge(answer.seq, answer.sha256):
                self._spool.mark(answer.seq, State.ACKED)
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

    def _void(self, seq: int) -> None:
        self._spool.mark(seq, State.DAMAGED)
        self._window.drop(seq)
        self.tally.count("damaged")
        self.add(self._sealer.void(*self._spool.key_of(seq)))

    def _hello(self) -> Hello:
        oldest = self._window.oldest
        waiting = self._spool.next_seq if oldest is None else oldest
        return Hello(
            [release.PROTO],
            [release.SCHEMA],
            self._probe,
            self._spool.inc,
            self._spool.next_seq,
            waiting,
            self._build,
        )

    def _beat_now(self) -> Beat:
        last = [[table, slot] for table, slot in self._sealer.last_slots()]
        return Beat(self.watermark_ms, self._spool.next_seq - 1, last, len(self._window))
