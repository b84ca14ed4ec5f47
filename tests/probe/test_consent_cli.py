"""`footfall consent`: one step each, and no fault tells a number."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from probe.base.config import ConfigError
from probe.base.main import main
from probe.register import Register
from probe.wire.consent import YES
from probe.wire.subscribers import MINOR, SUBSCRIBER
from simulator import deployment

NUMBER, STRANGER = 262_070_000_000_001, 262_070_000_000_009


@pytest.fixture
def folder(tmp_path):
    rows = np.zeros(3, SUBSCRIBER)
    rows["subscriber"], rows["person"], rows["age"] = NUMBER + np.arange(3), [0, 1, 2], [0, 0, MINOR]
    rows["consent"] = [0, YES["marketing"], 0]
    Register.create(tmp_path / "edge", rows, "Europe/Berlin", 1_778_536_800_000)  # 2026-05-12, midnight
    return str(tmp_path / "edge")


def told(folder, key, number=NUMBER, purpose="network"):
    (found,) = [one[key] for one in Register(folder).shown(number)["purposes"] if one["purpose"] == purpose]
    return found


@pytest.fixture
def consent(monkeypatch, capsys):
    """Return what a command does: (exit code, stdout, stderr)."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["footfall", "consent", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code or 0, *capsys.readouterr()

    return run


def test_a_yes_and_taking_it_back_are_one_step_of_the_same_shape(folder, consent):
    for answer, said, counted in (("give", "yes", True), ("withdraw", "no", False), ("refuse", "no", False)):
        code, out, _ = consent(answer, folder, NUMBER, "--purpose", "network", "--json")
        found = json.loads(out)
        assert code == 0 and (found["answer"], found["slot_start"]) == (said, "2026-05-12T00:00+02:00")
        assert told(folder, "counted")["consent"] is counted


def test_words_say_since_which_slot_and_under_which_proof(folder, consent):
    _, out, _ = consent("give", folder, NUMBER, "--purpose", "network", "--at", "2026-05-12T10:07", "--channel", "shop",
                        "--text-version", "v3")
    (said,) = Register(folder).said(NUMBER)
    assert "network: yes, from 12 May 2026, 10:07 CEST on (text v3, channel shop" in out
    assert "now: open" in out and "basis consent: not counted, counted from 12 May 2026, 10:07 CEST on" in out
    assert said.proof in out and str(NUMBER) not in out
    assert (said.text_version, said.channel) == ("v3", "shop")


def test_show_tells_each_purpose_and_the_history(folder, consent):
    consent("withdraw", folder, NUMBER + 1, "--purpose", "marketing")
    _, out, _ = consent("show", folder, NUMBER + 1, "--json")
    found = json.loads(out)
    assert [one["answer"] for one in found["purposes"]] == ["open", "open", "no"]
    assert found["purposes"][0]["counted"] == {"consent": False, "anonymous": True}
    assert [one["said"] for one in found["said"]] == ["withdraw"]
    assert found["purposes"][2]["slot_start"] == "2026-05-12T00:00+02:00" and found["minor"] is False
    _, out, _ = consent("show", folder, NUMBER + 1)
    assert "marketing: no, effective since slot 12 May 2026, 00:00" in out and str(NUMBER + 1) not in out


def test_show_and_the_answer_tell_what_holds_now_and_what_is_announced(folder, consent):
    said = consent("withdraw", folder, NUMBER + 1, "--purpose", "marketing", "--at", "2026-05-12T22:00")[1]
    shown = consent("show", folder, NUMBER + 1)[1]
    assert "marketing: no, from 12 May 2026, 22:00 CEST on" in said and "  now: yes" in said
    assert "marketing: yes, by the records of the network\n  basis consent: counted, not" in shown
    for out in (said, shown):
        assert "basis consent: counted, not counted from 12 May 2026, 22:00 CEST on" in out
        assert "announced: no from 12 May 2026, 22:00 CEST on (" in out


def test_a_yes_on_the_day_of_a_no_is_answered_with_the_instant_from_which_it_counts(folder, consent):
    consent("withdraw", folder, NUMBER + 1, "--purpose", "marketing", "--at", "2026-05-12T09:00")
    _, out, err = consent("give", folder, NUMBER + 1, "--purpose", "marketing", "--at", "2026-05-12T12:00")
    assert "not counted from 12 May 2026, 09:00 CEST on, counted from 13 May 2026, 00:00 CEST on" in out and not err


def test_a_yes_that_counts_nobody_is_said_so(folder, consent):
    code, out, err = consent("give", folder, NUMBER + 2, "--purpose", "network")
    assert code == 0 and "network: yes" in out and err == "not counted all the same: a minor\n"


def test_a_number_is_read_from_stdin_too(folder, consent, monkeypatch):
    monkeypatch.setattr("sys.stdin", type("In", (), {"readline": staticmethod(lambda: f"{NUMBER}\n")}))
    assert consent("give", folder, "-", "--purpose", "network")[0] == 0
    assert told(folder, "answer") == "yes"


WRONG = {
    "unknown": ("give", "{folder}", STRANGER, "--purpose", "network"),
    "too short": ("give", "{folder}", NUMBER // 10, "--purpose", "network"),
    "swapped": ("give", NUMBER, "{folder}", "--purpose", "network"),
    "twice": ("give", "{folder}", NUMBER, NUMBER, "--purpose", "network"),
    "as purpose": ("give", "{folder}", NUMBER, "--purpose", NUMBER),
    "as channel": ("give", "{folder}", NUMBER, "--purpose", "network", "--channel", NUMBER),
    "as time": ("give", "{folder}", NUMBER, "--purpose", "network", "--at", NUMBER),
    "as option": ("give", "{folder}", NUMBER, f"--{NUMBER}"),
    "as command": (NUMBER, "{folder}"),
    "as port": ("page", "{folder}", "--port", NUMBER),
    "as file": ("import", "{folder}", NUMBER),
}


@pytest.mark.parametrize("words", WRONG.values(), ids=WRONG)
def test_wrong_use_ends_with_2_and_never_tells_the_number(folder, consent, words):
    code, out, err = consent(*(str(word).format(folder=folder) for word in words))
    assert code == 2 and err and not out
    assert not any(str(number) in err for number in (NUMBER, STRANGER, NUMBER // 10))
    assert not Register(folder).said(NUMBER)


def test_an_import_is_recorded_once_in_order_of_time(folder, consent, tmp_path):
    (file := tmp_path / "said.csv").write_text(
        "subscriber,purpose,answer,time,proof,channel\n"
        f"{NUMBER},network,refuse,2026-05-12T09:00,P2,letter\n{NUMBER},network,give,2026-05-12T08:00,P1,shop\n"
        f"{NUMBER + 1},marketing,withdraw,,,\n")
    assert json.loads(consent("import", folder, file, "--json")[1]) == {"recorded": 3, "subscribers": 2}
    register = Register(folder)
    assert [one.proof for one in register.said(NUMBER)] == ["P1", "P2"]
    assert told(folder, "answer") == "open" and told(folder, "answer", NUMBER + 1, "marketing") == "no"
    assert [one["answer"] for one in told(folder, "later")] == ["yes", "no"]
    code, _, err = consent("import", folder, file)
    assert code == 2 and "line 2: proof" in err and len(register.said(NUMBER + 1)) == 1


def test_an_import_names_every_bad_row_and_takes_none(folder, consent, tmp_path):
    (file := tmp_path / "said.csv").write_text(
        f"subscriber,purpose,answer,time\n{NUMBER},network,give,\n{STRANGER},network,give,\n{NUMBER},spying,give,\n"
        f"{NUMBER},network,perhaps,\n{NUMBER},network,give,yesterday\n{NUMBER},network\n{NUMBER},network,refuse,\n")
    code, out, err = consent("import", folder, file)
    assert code == 2 and not out and not Register(folder).said(NUMBER)
    named = [line.split(":")[0].strip() for line in err.splitlines()[1:]]
    assert named == [f"line {k}" for k in (3, 4, 5, 6, 7, 8)]
    assert str(NUMBER) not in err and str(STRANGER) not in err


def test_a_quote_that_is_never_closed_is_named_and_nothing_is_taken(folder, consent, tmp_path):
    (file := tmp_path / "said.csv").write_text(
        f'subscriber,purpose,answer\n{NUMBER},network,"give\n' + f"{NUMBER},network,give\n" * 9_000)
    code, _, err = consent("import", folder, file)
    assert code == 2 and "line" in err and str(NUMBER) not in err and not Register(folder).said(NUMBER)


def test_an_import_says_what_is_wrong_with_the_columns_and_the_letters(folder, consent, tmp_path):
    (file := tmp_path / "said.csv").write_text("Subscriber,purpose,answer,colour\n")
    assert "missing or unknown: Subscriber, colour, subscriber" in consent("import", folder, file)[2]
    file.write_text(f"subscriber;purpose;answer\n{NUMBER};network;give\n")
    assert "with commas, not semicolons" in consent("import", folder, file)[2]
    file.write_text(f"{NUMBER // 1000}-001,network,give\n")
    assert str(NUMBER // 1000) not in consent("import", folder, file)[2]
    file.write_bytes("subscriber,purpose,answer,channel\n1,network,give,Büro\n".encode("latin-1"))
    assert "; save it as UTF-8" in consent("import", folder, file)[2]
    code, _, err = consent("import", folder, tmp_path / "nowhere.csv")
    assert code == 2 and "nowhere.csv" in err and "No such file" in err


def test_an_import_reads_stdin(folder, consent, monkeypatch):
    text = f"subscriber,purpose,answer\n{NUMBER},network,give\n{NUMBER},marketing,give\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8"))
    assert consent("import", folder, "-")[1] == "recorded 2 decisions of 1 subscribers\n"


def test_everything_that_is_wrong_is_named_at_once(folder, consent):
    code, _, err = consent("give", folder, STRANGER, "--purpose", "spying", "--at", "", "--channel", "")
    assert code == 2 and all(f"\n  {name}: " in err for name in ("subscriber", "purpose", "time", "channel"))
    assert "a number has 15 digits" in err and "text_version" not in err


def test_an_example_is_a_made_up_number_that_said_yes(folder, consent, tmp_path):
    assert consent("example", folder, "--purpose", "marketing")[1] == f"{NUMBER + 1}\n"
    Register.create(tmp_path / "live", Register(folder).rows, "Europe/Berlin")
    for words in ((folder,), (folder, "--purpose", "spying"), (tmp_path / "live", "--purpose", "marketing")):
        code, out, err = consent("example", *words)
        assert code == 2 and not out and "no made-up number" in err


@pytest.mark.parametrize("text", ["", f"{NUMBER},network,give\n", "subscriber,purpose\n", "\0\n"])
def test_a_file_without_the_columns_is_refused(folder, consent, tmp_path, text):
    (file := tmp_path / "said.csv").write_text(text)
    code, _, err = consent("import", folder, file)
    assert code == 2 and "line 1: name the columns" in err and str(NUMBER) not in err


@pytest.mark.parametrize("folder, out, option", [("a/b", "a", "--subscribers"), ("a", "a/b", "--out"),
                                                 ("a", "a", "--subscribers")])
def test_neither_subscribers_nor_a_run_lies_within_the_other(folder, out, option):
    with pytest.raises(ConfigError, match="lies within") as error:
        deployment.outside(Path(folder), Path(out))
    assert error.value.where == option and deployment.outside(Path("a"), Path("b")) == Path("a")


def test_help_imports_no_numba():
    code = ("import sys; from probe.base.main import footfall\n"
            "for words in ([], ['consent'], ['consent', 'give'], ['consent', 'page']):\n"
            "    footfall.main([*words, '--help'], standalone_mode=False)\n"
            "assert not {'numba', 'numpy'} & {*sys.modules}")
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
