"""The page on which people say yes and no: not pre-ticked, one click back, no number where it could be read."""

import http.client
import re
import signal
import subprocess
import sys
from urllib.parse import urlencode

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from probe import page
from probe.register import Register, Said
from probe.wire.consent import PURPOSES, YES
from probe.wire.subscribers import MINOR, SUBSCRIBER
from tests.browser import CHROMIUM, Browser

NUMBER, HOST, TOKEN = 262_070_000_000_001, "127.0.0.1:80", "t" * 22


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a new register of: one who said nothing, one who agreed, a minor, and two phones of one person."""

    def make():
        rows = np.zeros(5, SUBSCRIBER)
        rows["subscriber"], rows["person"] = NUMBER + np.arange(5), [0, 1, 2, 3, 3]
        rows["consent"], rows["age"][2] = [0, sum(YES.values()), 0, *[YES["marketing"]] * 2], MINOR
        return Register.create(tmp_path_factory.mktemp("page") / "edge", rows, "Europe/Berlin", 1_778_536_800_000)

    return make


def states(register, who=0):
    return {one["purpose"]: one["answer"] for one in register.shown(NUMBER + who)["purposes"]}


@pytest.fixture
def register(made):
    return made()


@pytest.fixture
def ask(register):
    one = page.Page(register, [HOST], TOKEN)

    def post(who=0, **fields):
        return one.answer(HOST, "/", {"token": [TOKEN], "number": [str(NUMBER + who)]} | {
            name: [value] if isinstance(value, str) else value for name, value in fields.items()})

    post.page = one
    return post


def test_the_text_is_shown_with_its_version_and_no_tick_is_set(ask):
    status, text = ask()
    assert status == 200 and page.VERSION in text and "If you take a yes back or object" in text
    assert text.count('type="checkbox"') == 3 and "checked" not in text


def test_a_tick_is_saved_with_version_channel_slot_and_proof(ask, register):
    _, text = ask(give=["network", "marketing"], save="1")
    said = register.said(NUMBER)
    assert [(one.purpose, one.answer) for one in said] == [("network", "give"), ("marketing", "give")]
    assert {(one.text_version, one.channel) for one in said} == {(page.VERSION, "page")}
    assert "effective since slot 12 May 2026, 00:00 to 00:15" in text and all(one.proof in text for one in said)


def test_one_click_takes_a_yes_back_and_one_objects(ask, register):
    before = ask(1)[1]
    assert before.count('name="withdraw"') == 3 and 'type="checkbox"' not in before and 'name="save"' not in before
    ask(1, withdraw="network")
    ask(0, refuse="network")
    assert states(register, 1)["network"] == states(register)["network"] == "no"


def test_saying_no_takes_no_more_fields_than_saying_yes(ask):
    text = ask()[1]
    forms = dict(re.findall(r'<form method="post" action="/" id="(\w+)">(.*?)</form>', text))
    assert forms["yes"] == forms["no"]  # the same hidden fields, nothing to confirm


def test_the_same_said_twice_is_recorded_once_and_nothing_ticked_is_said_so(ask, register):
    ask(give="network", save="1")
    ask(give="network", save="1")
    assert len(register.said(NUMBER)) == 1
    assert page.piece("nothing") in ask(save="1")[1] and len(register.said(NUMBER)) == 1


def test_the_no_at_once_is_offered_and_recorded_though_a_later_one_is_announced(ask, register):
    register.record([Said(NUMBER + 1, "network", "withdraw", 1_778_616_000_000)])  # 12 May, 22:00
    before = ask(1)[1]
    assert "You said no for later: from 12 May 2026, 22:00 CEST on" in before and before.count('name="withdraw"') == 3
    after = ask(1, withdraw="network")[1]
    assert page.piece("saved") in after and "for later" not in after
    assert [one.dated for one in register.said(NUMBER + 1)] == [False, True] and states(register, 1)["network"] == "no"


def test_a_yes_that_is_announced_is_taken_back_by_one_click(ask, register):
    ask(refuse="network")
    register.record([Said(NUMBER, "network", "give", 1_778_616_000_000)])
    assert 'name="refuse" value="network"' in ask()[1]
    ask(refuse="network")
    assert not register.shown(NUMBER)["purposes"][0]["later"]


def test_saved_is_said_of_what_was_recorded_alone(ask, register):
    assert page.piece("saved") in ask(refuse="network")[1]
    again = ask(refuse="network")[1]
    assert page.piece("saved") not in again and page.piece("nothing") in again and len(register.said(NUMBER)) == 1


def test_a_yes_on_the_day_of_a_no_is_shown_with_the_instant_from_which_it_counts(ask, register):
    register.record([Said(NUMBER + 1, "network", answer, 1_778_536_800_000 + k) for k, answer in ((0, "withdraw"),)])
    register.record([Said(NUMBER + 1, "network", "give", 1_778_536_800_000 + 1)])
    assert "only people who said yes: counted from 13 May 2026, 00:00 CEST on." in ask(1)[1]


def test_a_minor_and_who_said_no_by_another_phone_are_told(ask):
    assert page.piece("minor") in ask(2)[1]
    assert page.piece("other") not in ask(4)[1]
    ask(3, withdraw="marketing")
    assert page.piece("other") in ask(4)[1]


def test_what_stands_in_the_log_is_shown_as_text(ask, register):
    register.record([Said(NUMBER, "network", "give", proof="<b>$token</b>")])
    assert "proof id &lt;b&gt;$token&lt;/b&gt;" in ask()[1]


@pytest.mark.parametrize("change", [{"token": "x"}, {"token": []}, {"number": "123"}, {"number": str(NUMBER + 9)},
                                    {"give": "spying"}, {"give": "network", "refuse": "network"}])
def test_what_is_not_understood_changes_nothing(ask, register, change):
    status, text = ask(**{"give": "network", **change})
    assert status in (400, 403, 404) and not register.said(NUMBER) and str(NUMBER + 9) not in text


def test_a_form_that_says_yes_and_no_is_not_understood_whatever_held_before(ask, register):
    ask(refuse="network")
    assert ask(give="network", refuse="network")[0] == 400 and states(register)["network"] == "no"


def test_a_foreign_name_an_unknown_path_and_a_look_change_nothing(ask, register):
    form = {"token": [TOKEN], "number": [str(NUMBER)], "give": ["network"]}
    for host, path, sent, status in (("evil.example", "/", form, 403), (HOST, "/x", form, 404), (HOST, "/", None, 200)):
        assert ask.page.answer(host, path, sent)[0] == status
    assert not register.said(NUMBER)


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.sampled_from(["token", "number", "give", "withdraw", "refuse", "save", "x"]),
                       st.lists(st.text(max_size=20), max_size=3)))
def test_hostile_forms_are_answered(made, form):
    hostile = made.__dict__.setdefault("page", page.Page(made(), [HOST], TOKEN))
    for more in ({}, {"token": [TOKEN]}, {"token": [TOKEN], "number": [str(NUMBER)]}):
        status, text = hostile.answer(HOST, "/", form | more)
        assert status in (200, 400, 403, 404) and "<script" not in text


@pytest.fixture
def served(register):
    """Yield (port, process) of the page as a command."""
    command = [sys.executable, "-c", "from probe.base.main import main; main()", "consent", "page"]
    process = subprocess.Popen([*command, str(register.folder), "--port", "0"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    try:
        yield int(re.search(r":(\d+)/", process.stdout.readline())[1]), process
    finally:
        process.kill()
        process.communicate()


def test_it_answers_over_http_guarded_uncached_and_ends_with_130(served, register):
    port, process = served
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/")
    answer = connection.getresponse()
    policy = answer.headers["Content-Security-Policy"]
    assert answer.status == 200 and answer.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in policy and "script" not in policy and "unsafe" not in policy
    token = re.search(r'name="token" value="([^"]+)"', answer.read().decode())[1]
    body = urlencode({"token": token, "number": NUMBER, "give": "network", "save": 1})
    for path, headers, status in (("/", {"Host": "evil.example"}, 403), ("/", {"Content-Length": "9999"}, 403),
                                  ("/", {}, 200)):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("POST", path, body, headers)
        assert connection.getresponse().status == status
        assert bool(register.said(NUMBER)) is (status == 200)
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("PUT", "/", body)
    answer = connection.getresponse()
    assert answer.status == 405 and answer.read() == b""  # not the page of the library
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130 and str(NUMBER) not in out + err


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_browser_gives_and_withdraws_by_keyboard_alone(served, register, tmp_path):
    address = f"http://127.0.0.1:{served[0]}/"
    with Browser(tmp_path) as browser:
        browser.go(address)
        browser.until("document.activeElement.id == 'number'")
        browser.type(str(NUMBER))
        browser.press("Enter")
        browser.until("document.querySelectorAll('[type=checkbox]:not(:checked)').length == 3")
        browser.tab_to("#network")
        browser.press("Space")
        browser.tab_to("[name=save]")
        browser.press("Enter")
        browser.until("document.activeElement.matches('.note') && document.querySelector('[name=withdraw]')")
        assert states(register) == {"network": "yes", "market_research": "open", "marketing": "open"}
        browser.tab_to("[name=withdraw]")
        browser.press("Enter")
        browser.until("document.activeElement.matches('.note') && !document.querySelector('[name=withdraw]')")
        assert states(register)["network"] == "no" and browser.told("location.href") == address
        assert browser.told("document.styleSheets.length") == 1  # the policy lets the page's own style through


def test_the_pieces_stand_beside_the_code():
    assert {*PURPOSES, "yes", "no", "open", "card"} <= {*page.PIECES} and "end" not in page.PIECES
