"""The house rules: who may import whom, what a file may not hold, how large it may grow."""

import ast
import io
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("probe", "simulator", "collector")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LINES_MAX = 400
CODE_MAX = 7_599  # 5,000 for the core with one table (6bb26ef); then eight tables and a second area set; yes and no


def wire(*names):
    return [f"probe.wire.{name}" for name in names]


ALL = list(PACKAGES)
# Who may import whom among ourselves; the longest matching prefix decides.
MAY_IMPORT = {
    "probe": ["probe"],
    "probe.base": ["probe.base"],
    "probe.wire": ["probe.base", "probe.wire"],
    "collector": [],
    "collector.edge": ["collector.edge", "probe.base"]
    + wire("observations", "cells", "areas", "consent", "release", "envelope"),
    "collector.edge.kernels": ["collector.edge.kernels", "probe.base.jit", "probe.base.streams"],
    "collector.edge.agent": ["collector.edge", "probe"],  # the edge process puts the two together
    "collector.centre": ["collector.centre", "probe.base", *wire("release", "areas", "envelope")],
    "simulator": ["simulator", "probe.base"] + wire("events", "epochs", "cells", "subscribers", "areas", "consent"),
    "simulator.kernels": ["simulator.kernels", "probe.base.jit", "probe.base.streams"],
    "simulator.deployment": ALL,  # these five set the stage or judge
    "simulator.rehearsal": ALL,
    "simulator.score": ALL,
    "simulator.audit": ALL,
    "simulator.bench": ALL,
}
# What may not be written, what to write instead, and the files that may.
BANNED = {
    "default_rng(": ("a generator handed in, from probe.base.streams", ()),
    "np.random": ("a stream of probe.base.streams", ()),
    "import random": ("a stream of probe.base.streams", ()),
    "time.time(": ("a clock handed in, from probe.base.clock", ()),
    "time.monotonic(": ("a clock handed in, from probe.base.clock", ("probe.base.clock",)),
    "print(": ("click.echo in a command, a counter elsewhere", ()),
    "fastmath=True": ("the flags in probe.base.jit", ()),
    "parallel=True": ("lanes, from probe.base.jit", ("probe.base.jit",)),
    "zmq.PUB": ("DEALER and ROUTER with acknowledgements", ()),
    "pickle": ("a format of probe.wire", ()),
}


def module_name(path, root=ROOT):
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def within(name, prefix):
    return name == prefix or name.startswith(prefix + ".")


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield "."
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def offences(me, text):
    """Return every breach of the house rules in one file."""
    tree = ast.parse(text)
    rule = max((prefix for prefix in MAY_IMPORT if within(me, prefix)), key=len)
    found = []
    for name in imported(tree):
        root = name.split(".")[0]
        if name == ".":
            found.append("write absolute imports")
        elif root in PACKAGES and not any(within(name, allowed) for allowed in MAY_IMPORT[rule]):
            found.append(f"imports {name}; {rule} may import only {MAY_IMPORT[rule]}")
        elif ".kernels" in me and root not in (*PACKAGES, "math", "numpy"):
            found.append(f"imports {name}; kernels are pure")
    if not ast.get_docstring(tree):
        found.append("say what lives here")
    code = without_strings(text)
    found += [
        f"has {word!r}: use {instead}"
        for word, (instead, allowed) in BANNED.items()
        if word in code and me not in allowed
    ]
    if text.count("\n") > LINES_MAX:
        found.append(f"has {text.count(chr(10))} lines; past {LINES_MAX} look for the second subject")
    return found


def without_strings(text):
    """Return the code as text: no comment, no string, no white space but one blank between words."""
    kept = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.NAME, tokenize.OP, tokenize.NUMBER):
            kept.append(
                " " + token.string
                if kept and kept[-1][-1:].isalnum() and token.string[0].isalnum()
                else token.string
            )
    return "".join(kept)


def code_lines(text):
    """Return how many lines hold code: no blank, no comment, no docstring."""
    skipped = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skipped:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_house_rules_hold(path):
    found = offences(module_name(path), path.read_text())
    assert not found, f"{module_name(path)}: " + "; ".join(found)


PLANTED = {
    "collector.edge.collect": "from probe.wire import events",
    "collector.edge.plan": "from probe.wire.subscribers import SUBSCRIBER",
    "collector.edge.sealer": "from probe.wire import epochs",
    "collector.edge.kernels.bins": "import click",
    "collector.edge.kernels.ranges": "from collector.edge import plan",
    "collector.centre.intake": "from probe.wire import observations",
    "collector.centre.questions": "from collector.edge import noise",
    "probe.base.clock": "from probe.wire import events",
    "probe.probe": "from collector.edge import merge",
    "probe.wire.events": "import simulator.world",
    "simulator.world": "from collector.edge.locators import ranges",
    "simulator.kernels.move": "from simulator import scenario",
    "simulator.radio": "from collector.edge.kernels import footprint",
    "simulator.tap": "from probe import identity",
    "simulator.cohort": "from .world import World",
}


@pytest.mark.parametrize(("me", "line"), PLANTED.items(), ids=PLANTED)
def test_a_planted_import_is_caught(me, line):
    assert offences(me, f'"""A file."""\n{line}\n')


@pytest.mark.parametrize("word", BANNED)
def test_a_planted_word_is_caught(word):
    code = {"import random": "import random", "pickle": "import pickle"}.get(
        word, word + ("1)" if "(" in word else "")
    )
    assert offences("simulator.world", f'"""A file."""\nx = 1\n{code}\n')


def test_a_missing_docstring_and_a_long_file_are_caught():
    assert offences("simulator.world", "x = 1\n")
    assert offences("simulator.world", '"""A file."""\n' + "x = 1\n" * LINES_MAX)


def test_what_is_allowed_passes():
    assert not offences("collector.edge.agent", '"""A file."""\nfrom probe.wire import epochs, events\n')
    assert not offences("simulator.score", '"""A file."""\nfrom collector.edge import plan\n')


def test_the_three_packages_stay_small():
    total = sum(code_lines(path.read_text()) for path in FILES)
    assert total <= CODE_MAX, f"{total} lines of code"
