"""The register of an edge: a folder nobody else reads, a log that only grows, and the epochs that come out of it."""

import os
import sqlite3
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from probe.base.config import ConfigError, RunError
from probe.identity import fingerprints
from probe.register import Register, Said
from probe.wire import epochs
from probe.wire.consent import BASES, CHANGE, NO, PURPOSES, YES
from probe.wire.subscribers import MINOR, SUBSCRIBER

FIRST, BEGIN_MS, ZONE = 262_070_000_000_001, 1_778_536_800_000, "Europe/Berlin"
PURPOSE = "market_research"


def rows_of(*flags, person=None, minors=()):
    rows = np.zeros(len(flags), SUBSCRIBER)
    rows["subscriber"], rows["consent"] = FIRST + np.arange(len(flags)), flags
    rows["person"] = np.arange(len(flags)) if person is None else person
    rows["age"][list(minors)] = MINOR
    return rows


@pytest.fixture
def make(tmp_path):
    return lambda *flags, begin_ms=BEGIN_MS, **more: Register.create(
        tmp_path / "edge", rows_of(*flags, **more), ZONE, begin_ms)


def told(register, key, number=FIRST):
    """Return what is shown of the purpose."""
    return register.shown(number)["purposes"][1][key]


# Slow, obvious: no array, no shared code but the numbers of the purposes.

def answer_of(flag, changes, number, purpose, at_ms):
    bit = PURPOSES.index(purpose)
    yes, no = bool(flag >> bit & 1), bool(flag >> bit & 8)
    for time_ms, who, what, says in changes:
        if who == number and what == bit and time_ms <= at_ms:
            yes, no = says, not says
    return yes, no


def oracle_counts(rows, changes, purpose, basis, at_ms):
    """Return who is counted at a time, after everything that was said by then."""
    said = {int(one["subscriber"]): answer_of(int(one["consent"]), changes, int(one["subscriber"]), purpose, at_ms)
            for one in rows}
    against = {int(one["person"]) for one in rows if said[int(one["subscriber"])][1] or one["age"] == MINOR}
    return {int(one["subscriber"]) for one in rows if int(one["person"]) not in against
            and (basis == "anonymous" or said[int(one["subscriber"])][0])}


def replayed(rows, register, frames, purpose, basis, at_ms):
    """Return who a probe would count at a time, from the operator's file and the epochs alone."""
    counted = oracle_counts(rows, [], purpose, basis, 0)
    names = dict(zip(fingerprints(rows["subscriber"], register.key).tolist(), rows["subscriber"].tolist(), strict=True))
    for _, frame in frames:
        for one in epochs.decode(frame, register.key).decisions:
            if one["time_ms"] <= at_ms:
                number = names[int(one["fingerprint"])]
                assert int(one["row"]["subscriber"]) in (0, number)
                if one["row"]["subscriber"]:  # as it stands at that time
                    assert not one["row"]["consent"] & NO[purpose]
                    assert basis == "anonymous" or one["row"]["consent"] & YES[purpose]
                (counted.add if one["row"]["subscriber"] else counted.remove)(number)
    return counted


WHO = st.integers(0, 2), st.sampled_from([1, 1, 1, 0]), st.booleans()
a_change, a_decision = (st.tuples(when, *WHO) for when in (st.integers(-3, 6), st.none() | st.integers(-3, 6)))


@pytest.fixture(scope="module")
def memory():
    """Yield a folder that waits for no disk, where there is one."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        yield folder


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 63), min_size=4, max_size=4), st.lists(st.integers(0, 2), min_size=4, max_size=4),
       st.lists(a_decision, min_size=4, max_size=12), st.lists(a_change, max_size=6), st.sampled_from(PURPOSES[:2]),
       st.sampled_from(BASES), st.sampled_from([1, 2, 4]))
def test_whoever_replays_the_epochs_counts_whom_the_oracle_counts(memory, flags, person, said, world, purpose,
                                                                  basis, shards):
    rows = rows_of(*flags, person=person, minors=[3])
    register = Register.create(Path(tempfile.mkdtemp(dir=memory)) / "edge", rows, ZONE, BEGIN_MS)
    minute = []
    for t, who, what, yes in said:  # one call each: in one call opposite answers at one time are refused
        time_ms = None if t is None else BEGIN_MS + t * 60_000
        register.record([Said(FIRST + who, PURPOSES[what], "give" if yes else "refuse", time_ms)])
        if t is None:  # the last word
            minute = [one for one in minute if one[0] < BEGIN_MS or one[1:3] != (FIRST + who, what)]
        minute.append((BEGIN_MS if t is None else time_ms, FIRST + who, what, yes))
    own = [(BEGIN_MS + t * 60_000, FIRST + who, what, yes) for t, who, what, yes in world]
    logged = {(number, what) for _, number, what, _ in minute}
    told = sorted((one for one in own if one[1:3] not in logged), key=lambda one: one[0])
    changes = sorted([*told, *minute], key=lambda one: one[0])
    also = np.array(sorted(own, key=lambda one: one[0]), CHANGE)
    begins = [BEGIN_MS + k * 240_000 for k in range(4)]
    frames = [register.epochs(purpose, basis, begins, shard, shards, also) for shard in range(shards)]
    for some in frames:
        found = [epochs.decode(frame, register.key) for _, frame in some]
        assert [one.number for one in found] == [1, 2, 3]
        assert [(one.from_ms, one.until_ms) for one in found] == list(pairwise(begins))
    always = oracle_counts(rows, [], purpose, basis, 0)  # whose answer does not change
    windows = register.windows(purpose, basis, BEGIN_MS, also).tolist()
    for minutes in range(12):
        at_ms = BEGIN_MS + minutes * 60_000
        counted = replayed(rows, register, [one for some in frames for one in some], purpose, basis, at_ms)
        assert counted == oracle_counts(rows, changes, purpose, basis, at_ms)
        for number, _, from_ms, until_ms in windows:
            assert at_ms >= until_ms or (from_ms <= at_ms) == (number in counted)
        assert counted - {number for number, *_ in windows} == always - {number for number, *_ in windows}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([2, 2, 0, 16]), min_size=3, max_size=3), st.sampled_from([[0, 1, 2], [0, 0, 1]]),
       st.lists(st.tuples(st.integers(1, 60), st.integers(0, 2), st.booleans()), min_size=2, max_size=12),
       st.sampled_from(BASES))
def test_who_is_shown_as_counted_is_whom_the_probe_counts_at_that_time(memory, flags, person, said, basis):
    """Also the day's rule: whoever was counted on a local day and is no longer, is not counted before its end."""
    rows, now_ms = rows_of(*flags, person=person), [BEGIN_MS]
    folder = Path(tempfile.mkdtemp(dir=memory)) / "edge"
    Register.create(folder, rows, ZONE)
    register, hour = Register(folder, lambda: now_ms[0]), 3_600_000
    changes = sorted(((BEGIN_MS + h * hour, FIRST + who, 1, yes) for h, who, yes in said), key=lambda one: one[0])
    for time_ms, number, _, yes in changes:
        register.record([Said(number, PURPOSE, "give" if yes else "refuse", time_ms)])
    before, again_ms = oracle_counts(rows, changes, PURPOSE, basis, BEGIN_MS), dict.fromkeys(person, 0)
    for at in range(70):  # of an hour; the begin is a local midnight
        now_ms[0] = BEGIN_MS + at * hour
        after = oracle_counts(rows, changes, PURPOSE, basis, now_ms[0])
        again_ms |= {person[number - FIRST]: BEGIN_MS + (at // 24 + 1) * 24 * hour for number in before - after}
        for k in range(3) if before != after or not at % 12 else ():
            counted = FIRST + k in after and now_ms[0] >= again_ms[person[k]]
            assert told(register, "counted", FIRST + k)[basis] is counted, at
        before = after


def test_what_is_announced_is_told_beside_what_holds_now(tmp_path):
    now_ms, hour = [BEGIN_MS], 3_600_000
    Register.create(tmp_path / "edge", rows_of(YES[PURPOSE]), ZONE)
    register = Register(tmp_path / "edge", lambda: now_ms[0])
    register.record([Said(FIRST, PURPOSE, "withdraw", BEGIN_MS + 22 * hour)])
    assert told(register, "answer") == "yes" and told(register, "counted") == {"consent": True, "anonymous": True}
    assert told(register, "turns")["consent"] == ["not counted from 12 May 2026, 22:00 CEST on"]
    (later,) = told(register, "later")
    assert later["answer"] == "no" and later["since"].startswith("from 12 May 2026, 22:00 CEST on (")
    assert told(register, "since") == "by the records of the network"
    now_ms[0] += 22 * hour
    assert told(register, "answer") == "no" and not told(register, "later")
    assert not any(told(register, "turns").values())
    assert told(register, "since").startswith("effective since slot 12 May 2026, 22:00 to 22:15 CEST (")


def test_a_yes_after_a_no_on_one_day_counts_from_midnight_on(tmp_path):
    now_ms = [BEGIN_MS + 36_000_000]
    Register.create(tmp_path / "edge", rows_of(YES[PURPOSE], 0), ZONE)
    register = Register(tmp_path / "edge", lambda: now_ms[0])
    for number in (FIRST, FIRST + 1):
        register.record([Said(number, PURPOSE, "refuse")])
    now_ms[0] += 1
    for number in (FIRST, FIRST + 1):
        register.record([Said(number, PURPOSE, "give")])
    assert told(register, "answer") == "yes" and told(register, "counted") == {"consent": False, "anonymous": False}
    again = ["counted from 13 May 2026, 00:00 CEST on"]
    assert told(register, "turns") == {"consent": again, "anonymous": again}
    assert told(register, "turns", FIRST + 1) == {"consent": [], "anonymous": again}  # had not been counted before
    assert told(register, "counted", FIRST + 1)["consent"] and not told(register, "why")


def test_only_the_no_of_another_handset_is_told_as_that(make):
    register = make(YES[PURPOSE], YES[PURPOSE], person=[3, 3])
    register.record([Said(FIRST, PURPOSE, "withdraw")])
    assert told(register, "why", FIRST + 1) == "another handset of the person said no" and not told(register, "why")
    register.record([Said(FIRST, PURPOSE, "give", BEGIN_MS + 1)])
    assert told(register, "turns", FIRST + 1)["consent"] == ["counted from 13 May 2026, 00:00 CEST on"]


def test_another_key_is_refused_and_no_no_is_lost_in_silence(make):
    register = make(YES[PURPOSE])
    register.record([Said(FIRST, PURPOSE, "refuse")])
    (register.folder / "key").write_bytes(bytes(32))
    with pytest.raises(ConfigError, match="restore the key of this folder"):
        Register(register.folder)


def test_windows_tell_from_when_until_when_who_turns_is_counted(make):
    register = make(YES[PURPOSE], 0, YES[PURPOSE], 0, YES[PURPOSE])
    hour = 3_600_000
    register.record([Said(FIRST, PURPOSE, "withdraw", BEGIN_MS + hour),
                     Said(FIRST + 1, PURPOSE, "give", BEGIN_MS + hour),
                     Said(FIRST + 2, PURPOSE, "withdraw"), Said(FIRST + 3, PURPOSE, "give", BEGIN_MS + hour),
                     Said(FIRST + 3, PURPOSE, "withdraw", BEGIN_MS + 2 * hour)])
    never = np.iinfo("i8").max
    assert register.windows(PURPOSE, "consent", BEGIN_MS).tolist() == [
        (FIRST + 2, 2, BEGIN_MS, BEGIN_MS), (FIRST, 0, BEGIN_MS, BEGIN_MS + hour),
        (FIRST + 1, 1, BEGIN_MS + hour, never), (FIRST + 3, 3, BEGIN_MS + hour, BEGIN_MS + 2 * hour)]


def test_a_no_leaves_as_a_fingerprint_and_a_yes_as_the_subscriber(make):
    register = make(YES[PURPOSE], 0)
    register.record([Said(FIRST, PURPOSE, "refuse"), Said(FIRST + 1, PURPOSE, "give")])
    ((from_ms, frame),) = register.epochs(PURPOSE, "consent", [BEGIN_MS, BEGIN_MS + 900_000])
    stop, start = epochs.decode(frame, register.key).decisions
    assert from_ms == BEGIN_MS and stop["row"] == np.zeros((), SUBSCRIBER)
    assert start["row"]["subscriber"] == FIRST + 1 and start["row"]["consent"] == YES[PURPOSE]
    assert FIRST.to_bytes(8, "little") not in frame


def test_what_took_effect_before_the_first_epoch_stands_at_its_begin_as_it_ended(make):
    register = make(0, YES[PURPOSE], YES[PURPOSE])
    for t, who, answer in ((2, 0, "give"), (3, 1, "refuse"), (1, 2, "refuse"), (2, 2, "give")):
        register.record([Said(FIRST + who, PURPOSE, answer, BEGIN_MS + t)])
    (first, second) = register.epochs(PURPOSE, "consent", [BEGIN_MS + k for k in (10, 20, 30)])
    start, stop = epochs.decode(first[1], register.key).decisions
    assert start["time_ms"] == stop["time_ms"] == BEGIN_MS + 10
    assert start["row"]["subscriber"] == FIRST and not stop["row"]["subscriber"]
    assert not len(epochs.decode(second[1], register.key).decisions)


def test_what_is_said_last_at_one_time_holds(make):
    register = make(0)
    for answer, counted in (("give", True), ("withdraw", False), ("give", True), ("refuse", False)):
        (one,) = register.record([Said(FIRST, PURPOSE, answer)])
        assert one.effective_ms == BEGIN_MS and told(register, "counted")["consent"] is counted
    assert [one.answer for one in register.said(FIRST)] == ["give", "withdraw", "give", "refuse"]


def test_a_no_without_a_time_makes_every_later_yes_void(make):
    register = make(YES[PURPOSE])
    register.record([Said(FIRST, PURPOSE, "withdraw", BEGIN_MS + 1), Said(FIRST, PURPOSE, "give", BEGIN_MS + 2)])
    register.record([Said(FIRST, PURPOSE, "withdraw")])
    assert told(register, "answer") == "no" and len(register.said(FIRST)) == 3 and len(register.log()) == 1


def test_a_live_register_takes_effect_at_once(tmp_path):
    Register.create(tmp_path / "edge", rows_of(0), ZONE)
    register = Register(tmp_path / "edge", now_ms=lambda: BEGIN_MS + 7)
    (one,) = register.record([Said(FIRST, PURPOSE, "give")])
    assert one.effective_ms == one.recorded_ms == BEGIN_MS + 7


def test_the_no_of_one_handset_holds_for_all_of_the_person(make):
    register = make(YES[PURPOSE], YES[PURPOSE], person=[3, 3])
    register.record([Said(FIRST, PURPOSE, "withdraw")])
    assert not told(register, "counted", FIRST + 1)["consent"] and told(register, "answer", FIRST + 1) == "yes"
    assert len(register.turns(PURPOSE, "consent", BEGIN_MS)) == 2


def test_a_minor_is_never_counted(make):
    register = make(0, minors=[0])
    register.record([Said(FIRST, PURPOSE, "give")])
    assert not any(any(one["counted"].values()) for one in register.shown(FIRST)["purposes"])
    assert not len(register.turns(PURPOSE, "consent", BEGIN_MS))


def test_a_yes_and_a_no_in_the_operators_file_mean_no(make):
    register = make(YES[PURPOSE] | NO[PURPOSE])
    assert [one["answer"] for one in register.shown(FIRST)["purposes"]] == ["open", "no", "open"]


WRONG = {
    "number": Said(FIRST + 9, PURPOSE, "give"), "purpose": Said(FIRST, "spying", "give"),
    "answer": Said(FIRST, PURPOSE, "perhaps"), "time": Said(FIRST, PURPOSE, "give", -1),
    "text": Said(FIRST, PURPOSE, "give", channel="a\nb"), "long": Said(FIRST, PURPOSE, "give", proof="x" * 65),
    "itself": Said(FIRST, PURPOSE, "give", channel=f"call from {FIRST}"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_one_wrong_decision_means_that_none_is_recorded_and_no_number_is_told(make, wrong):
    register = make(0)
    with pytest.raises(ConfigError) as error:
        register.record([Said(FIRST, "network", "give"), wrong])
    assert not register.said(FIRST) and str(wrong.number) not in str(error.value)


def test_the_text_that_is_wrong_is_named(make):
    register = make(0)
    for name in ("text_version", "channel", "proof"):
        ((_, words),) = register.problems([Said(FIRST, PURPOSE, "give")._replace(**{name: "a\nb"})])
        assert words.startswith(f"{name}: ")
    assert register.problems([Said(FIRST, PURPOSE, "give", None, "", " ")])[1][1].startswith("channel")


@pytest.mark.parametrize("text, there", [("2026-03-29T02:30", False), ("2026-10-25T02:30", False), ("", False),
                                         ("2026-03-29T03:30+02:00", True), ("2026-03-29T03:30", True)])
def test_a_local_time_that_is_not_there_or_there_twice_needs_its_offset(make, text, there):
    register = make(0)
    found = register.problems([Said(FIRST, PURPOSE, "give", register.moment(text))])
    assert found == [] if there else "with its offset: 2026-03-29T03:30+02:00" in found[0][1]


def test_what_is_no_subscriber_folder_is_said_so_and_not_to_be_closed(tmp_path):
    (tmp_path / "letter").write_text("mine")
    os.chmod(tmp_path, 0o755)
    for path in (tmp_path, tmp_path / "letter", tmp_path / "nowhere"):
        with pytest.raises(ConfigError, match="no subscriber folder") as error:
            Register(path)
        assert "chmod" not in str(error.value)


def test_who_makes_the_same_folder_a_moment_later_is_told_to_run_again(make, monkeypatch):
    folder = make(0).folder
    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.iterdir", lambda path: iter(()))  # as it was a moment ago
        with pytest.raises(ConfigError, match="being made by another program; run it again"):
            make(0)
    assert len(Register(folder).rows) == 1


def test_reading_writes_nothing_and_a_log_that_cannot_be_written_is_named(make):
    register = make(0)
    register.record([Said(FIRST, PURPOSE, "give")])
    path = register.folder / "consent.db"
    assert path.read_bytes()[18:20] == b"\x01\x01"  # no write-ahead log, which a reader would have to make
    register.folder.chmod(0o500)
    path.chmod(0o400)
    assert told(Register(register.folder), "answer") == "yes"
    if os.geteuid():  # root may write everything
        with pytest.raises(RunError, match=r"consent.db: .*as its owner, who may write"):
            register.record([Said(FIRST, PURPOSE, "refuse")])
    register.folder.chmod(0o700)


def test_what_fails_half_way_leaves_nothing_in_the_log(make, monkeypatch):
    register = make(0)
    monkeypatch.setattr(register, "problems", lambda said: [])  # as if another process had just recorded P1
    with pytest.raises(RunError):
        register.record([Said(FIRST, one, "give", proof="P1") for one in PURPOSES])
    assert not register.said(FIRST)


def test_opposite_answers_at_one_time_and_a_proof_used_twice_are_refused(make):
    register = make(0)
    assert len(register.problems([Said(FIRST, PURPOSE, "give"), Said(FIRST, PURPOSE, "refuse")])) == 1
    assert len(register.problems([Said(FIRST, one, "give", proof="P1") for one in PURPOSES])) == 2
    register.record([Said(FIRST, PURPOSE, "give", proof="P1")])
    assert register.problems([Said(FIRST, PURPOSE, "give", proof="P1")])


def test_the_log_only_grows_and_holds_no_number(make):
    register = make(0)
    register.record([Said(FIRST, PURPOSE, "give")])
    with sqlite3.connect(register.folder / "consent.db") as db:
        for change in ("UPDATE said SET answer = 'refuse'", "DELETE FROM said"):
            with pytest.raises(sqlite3.IntegrityError):
                db.execute(change)
    data = b"".join(path.read_bytes() for path in register.folder.iterdir() if path.name != "subscribers")
    assert not any(form in data for form in (FIRST.to_bytes(8, "little"), FIRST.to_bytes(8, "big"), b"%d" % FIRST))


def test_the_folder_and_its_files_are_for_the_owner_alone(make):
    register = make(0)
    register.record([Said(FIRST, PURPOSE, "give")])
    assert register.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in register.folder.iterdir()} == {0o600}


def test_a_folder_that_others_read_that_is_foreign_or_in_a_run_is_refused(make, tmp_path):
    register = make(0)
    os.chmod(register.folder, 0o750)
    with pytest.raises(ConfigError, match="chmod 700"):
        Register(register.folder)
    (foreign := tmp_path / "foreign").mkdir(mode=0o700)
    (foreign / "letter").write_text("mine")
    (run := tmp_path / "run").mkdir()
    (run / "run.json").write_text("{}")
    for folder, words in ((foreign, "holds no register"), (run / "edge", "within the folder of a run")):
        with pytest.raises(ConfigError, match=words):
            Register.create(folder, rows_of(0), ZONE, BEGIN_MS)
    for nowhere in (tmp_path / "nowhere", foreign / "letter" / "edge"):
        with pytest.raises(ConfigError, match="holds no register"):
            Register(nowhere)
    with pytest.raises(ConfigError, match="cannot be made"):
        Register.create(foreign / "letter" / "edge", rows_of(0), ZONE, BEGIN_MS)
    assert [path.name for path in foreign.iterdir()] == ["letter"] and not (run / "edge").exists()


def test_a_folder_is_made_whole_or_not_at_all(make, tmp_path, monkeypatch):
    (tmp_path / "edge").mkdir(mode=0o700)  # an empty one is as good as none
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("probe.base.record.prepare", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
        make(0)
    assert [*tmp_path.rglob("*")] == [tmp_path / "edge"]
    assert len(make(0).rows) == 1 and [*tmp_path.iterdir()] == [tmp_path / "edge"]


def test_a_folder_is_made_once_kept_and_not_lent_to_another_world(make):
    register = make(0, YES[PURPOSE])
    register.record([Said(FIRST, PURPOSE, "give")])
    again = make(0, YES[PURPOSE])
    assert again.key == register.key and len(again.log()) == 1
    for other in ((0, 0), (0,)):
        with pytest.raises(ConfigError, match="another world"):
            make(*other)
    with pytest.raises(ConfigError, match="another world"):
        make(0, YES[PURPOSE], begin_ms=BEGIN_MS + 1)


@pytest.mark.parametrize("name", ["subscribers", "key", "consent.db"])
def test_a_damaged_file_is_named_and_nothing_in_it(make, name):
    register = make(0)
    (register.folder / name).write_bytes(b"%d" % FIRST * 99)
    with pytest.raises((ConfigError, RunError), match=name) as error:
        Register(register.folder)
    assert str(FIRST) not in str(error.value)


@pytest.mark.parametrize("name", ["subscribers", "key", "consent.db"])
def test_a_file_that_is_gone_is_not_made_anew(make, name):
    register = make(0)
    (register.folder / name).unlink()
    for _ in range(2):
        with pytest.raises((ConfigError, RunError), match=name):
            Register(register.folder)
        assert not (register.folder / name).exists()
    (register.folder / name).touch()
    with pytest.raises((ConfigError, RunError), match=name):
        Register(register.folder)
