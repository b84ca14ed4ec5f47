"""The contract of a store, a stranger's too: durable, once, never replaced, remembered."""

from collections.abc import Callable
from contextlib import closing

from collector.centre.stores import Beaten, Offered, Refused, Registered, Store, Verdict
from probe.wire import release
from probe.wire.envelope import Beat


def broken(build: Callable[[], Store], expected: Registered, frames: list[bytes]) -> list[str]:
    """Return the promises that a store breaks; build opens the same, at first empty, store each time.

    frames : releases of `expected`, one at least with values, by slot, numbered from 0
    """
    good = [Offered(release.decode(frame), frame) for frame in frames]
    probe, table, first, count = expected.probe, expected.table, good[0].release, len(good)
    epochs = {one.release.slot: one.release.statement.consent_epoch for one in good if one.release.statement}
    others = first._replace(seq=first.seq + 99), first._replace(slot=first.slot + 99)
    beats = [Beaten(probe, first.inc, Beat(time_ms, 0, [], 0)) for time_ms in (5_000, 4_000)]
    with closing(build()) as store:
        store.register([expected])
        stored = store.write([*good, *beats, Refused(probe, "malformed", b"x")])
    with closing(build()) as store:
        kept, known, registered = list(store.frames(table)), store.known(probe), store.registered()
        again = store.write([*good, *(Offered(one, release.encode(one)) for one in others)])
    with closing(build()) as store:
        last, frozen = list(store.frames(table)), store.known(probe).frozen
    promises = {
        "what is new is stored": stored[:count] == [Verdict.STORED] * count,
        "beats are noted, what is refused is kept apart": stored[count:] == [*[Verdict.NOTED] * 2, Verdict.QUARANTINED],
        "frames come back byte for byte": kept == frames,
        "what is expected is remembered": registered == [expected],
        "the watermark never goes back": (known.watermark_ms, known.inc) == (5_000, first.inc),
        "the last slot is known": known.last_slots == {table: good[-1].release.slot},
        "the epoch of the last release is known, of a lost slot none is": known.epochs == {table: max(epochs.items())},
        "the same again is a duplicate": again[:count] == [Verdict.DUPLICATE] * count,
        "other bytes under a name are a conflict": again[count:] == [Verdict.CONFLICT] * 2,
        "a conflict replaces nothing": last == frames, "a conflict is remembered": frozen and not known.frozen}
    return [promise for promise, kept_it in promises.items() if not kept_it]
