"""Intake: what is taken, what is refused, and with which word."""


import pytest

from collector.centre.intake import Intake, fits
from collector.centre.stores import Beaten, Known, Offered, Refused, Verdict
from probe.wire import envelope, release
from probe.wire.envelope import Ack, Beat, Hello, Nack, Rel, Welcome
from tests.builders_seal import AREAS, FIRST, INC, STATEMENT, a_loss, a_release, a_release_of, registered

HELLO = Hello([1], [release.SCHEMA], 1, INC, 0, 0, "test")
OVER, DUE = registered().spans[FIRST][1], registered().due_ms(FIRST)


def intake(**known):
    return Intake([registered()], {1: Known(b"", 0, {}, {}, False)._replace(**known)})


def say(one, message, source=b"edge"):
    decision = one.take(source, envelope.encode(message))
    return decision.entry, decision.answer and envelope.decode(decision.answer)


def greeted(watermark_ms=DUE, **known):
    one = intake(**known)
    say(one, HELLO)
    say(one, Beat(watermark_ms, 0, [], 0))
    return one


def test_a_greeting_is_answered_with_what_is_known():
    _, welcome = say(intake(inc=INC, last_slots={1: FIRST}), HELLO)
    assert welcome == Welcome(1, release.SCHEMA, 32, INC, [1, FIRST])


REFUSED_HELLO = {
    "a probe that nobody knows": (HELLO._replace(probe=2), {}, "forbidden"),
    "a protocol of the future": (HELLO._replace(protos=[9]), {}, "unknown_schema"),
    "a new spool": (HELLO, {"inc": bytes(16)}, "conflict"),
    "a frozen probe": (HELLO, {"frozen": True}, "conflict"),
}


@pytest.mark.parametrize("case", REFUSED_HELLO.values(), ids=REFUSED_HELLO)
def test_a_greeting_is_refused(case):
    hello, known, code = case
    entry, answer = say(intake(**known), hello)
    assert entry is None and isinstance(answer, Nack) and answer.code == code


def test_a_second_spool_of_one_probe_is_refused_from_the_first_greeting_on():
    one = intake()
    assert isinstance(say(one, HELLO)[1], Welcome)
    assert say(one, HELLO._replace(inc=bytes(16)), b"clone")[1].code == "conflict"


def test_a_watermark_beyond_all_that_is_expected_makes_no_future_slot_due():
    one = greeted(watermark_ms=(1 << 62) - 1)
    assert one._known[1].watermark_ms == registered().due_ms(registered().until_slot - 1)


def test_a_release_is_answered_only_when_it_is_settled():
    frame = release.encode(a_release())
    one = greeted()
    entry, answer = say(one, Rel(frame))
    assert isinstance(entry, Offered) and answer is None
    for verdict in (Verdict.STORED, Verdict.DUPLICATE):
        ack = envelope.decode(one.settle(entry, verdict))
        assert ack == Ack(INC, 0, 1, FIRST, release.sha256_of(frame))
    _, welcome = say(one, HELLO)
    assert welcome.last_slots == [1, FIRST]


def test_a_conflict_freezes_the_probe():
    one = greeted()
    entry, _ = say(one, Rel(release.encode(a_release())))
    assert envelope.decode(one.settle(entry, Verdict.CONFLICT)).code == "conflict"
    for message in (Rel(release.encode(a_release(FIRST))), HELLO):
        assert say(one, message)[1].code == "conflict"


FORBIDDEN = {
    "another probe": a_release(probe=2),
    "another spool": a_release(inc=bytes(16)),
    "another table": a_release(table=2),
    "another area set": a_release(axes=b"axes-xyz"),
    "before the first slot": a_release(FIRST - 1),
    "after the last slot": a_release(FIRST + 24),
    "too few rows": a_release(values=[1] * (len(AREAS) - 1)),
    "another name": a_release()._replace(statement=STATEMENT._replace(table="profile")),
    "another span": a_release()._replace(statement=STATEMENT._replace(span="hour", slot_s=3_600)),
    "another axis": a_release()._replace(statement=STATEMENT._replace(axes="home")),
    "another unit": a_release()._replace(statement=STATEMENT._replace(value_unit="persons")),
    "a loss out of range": a_loss(FIRST - 1),
}


@pytest.mark.parametrize("one", FORBIDDEN.values(), ids=FORBIDDEN)
def test_what_is_not_expected_is_kept_for_a_person_and_refused(one):
    entry, answer = say(greeted(), Rel(release.encode(one)))
    assert isinstance(entry, Refused) and answer.code == "forbidden"


def epoch_said(one, epoch, slot):
    """Return what becomes of a release with this epoch: offered to the record, or refused."""
    entry, answer = say(one, Rel(release.encode(a_release_of(epoch, slot))))
    assert isinstance(entry, Offered) == (answer is None)
    return answer is None or answer.code


@pytest.mark.parametrize("restarted", [False, True])
def test_an_epoch_never_goes_back_whether_told_by_the_record_or_in_one_group(restarted):
    """Within a group nothing is settled yet; after a restart of the store the record knows."""
    one = greeted(registered().due_ms(FIRST + 9), epochs={1: (FIRST + 1, 5)} if restarted else {})
    if not restarted:
        assert epoch_said(one, 4, FIRST) and epoch_said(one, 5, FIRST + 1)
    assert epoch_said(one, 4, FIRST + 2) == "forbidden"
    assert epoch_said(one, 5, FIRST + 2) is True
    assert epoch_said(one, 4, FIRST) is True, "what was sent again, or late, was sealed before"
    assert epoch_said(one, 4, FIRST + 3) == "forbidden"


def test_a_lost_slot_states_no_epoch_and_hides_none():
    one = greeted(registered().due_ms(FIRST + 9), epochs={1: (FIRST, 5)})
    assert isinstance(say(one, Rel(release.encode(a_loss(FIRST + 1))))[0], Offered)
    assert epoch_said(one, 4, FIRST + 2) == "forbidden"


def test_a_slot_that_is_not_over_is_refused_until_the_watermark_says_so():
    one = greeted(OVER - 1)
    entry, answer = say(one, Rel(release.encode(a_release())))
    assert entry is None and answer.code == "skew"
    say(one, Beat(OVER, 0, [], 0))
    assert isinstance(say(one, Rel(release.encode(a_release())))[0], Offered)


def test_a_release_is_of_a_span_of_its_table():
    """A part of four hours begins with every sixteenth slot, and has to lie inside the run: here one of six hours."""
    stated = STATEMENT._replace(span="part", slot_s=14_400)
    its = {slot: a_release(slot)._replace(statement=stated) for slot in (FIRST, FIRST + 1, FIRST + 16)}
    assert [slot for slot, one in its.items() if fits(one, registered(span="part"))] == [FIRST]
    assert not fits(its[FIRST], registered(span="part", first_slot=FIRST + 1, until_slot=FIRST + 40))


def test_who_did_not_greet_is_asked_to():
    for message in (Beat(DUE, 0, [], 0), Rel(release.encode(a_release()))):
        entry, answer = say(intake(), message)
        assert entry is None and answer.code == "busy"


def test_a_beat_is_written():
    one = intake()
    say(one, HELLO)
    entry, answer = say(one, Beat(DUE, 3, [1, FIRST], 2))
    assert entry == Beaten(1, INC, Beat(DUE, 3, [1, FIRST], 2)) and answer is None


POISON = [b"", b"\x03", b"\x09\x90", envelope.encode(Rel(b"no release")), envelope.encode(Welcome(1, 1, 1, b"", []))]


@pytest.mark.parametrize("frame", POISON)
def test_poison_is_kept_for_a_person_and_refused(frame):
    decision = greeted().take(b"edge", frame)
    assert isinstance(decision.entry, Refused)
    assert envelope.decode(decision.answer).code == "malformed"
