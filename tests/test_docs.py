"""The README keeps its promises: the words, the commands, the example, one word per thing."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
WORDS = """
handset subscriber person site cell layout plan event observation tap probe collector edge store triangulate fix
bin area elsewhere slot table seal release publish spool ledger completeness truth score noise place
""".split()
# A synonym in a public name would be a second word for one thing.
SYNONYMS = {
    "tower": "site",
    "device": "handset",
    "imsi": "subscriber",
    "msisdn": "subscriber",
    "zone_id": "area",
    "polygon_id": "area",
    "time_bin": "slot",
    "window_id": "slot",
    "ground_truth": "truth",
    "user_id": "person",
}


def word_table():
    section = README.split("## Words")[1].split("\n## ")[0]
    return [row.split("|")[1:3] for row in section.splitlines() if row.startswith("| ") and "---" not in row][1:]


def test_the_readme_carries_every_word_once():
    carried = [word.strip().removesuffix(" error") for names, _ in word_table() for word in names.split(",")]
    assert sorted(carried) == sorted(set(carried))
    assert set(WORDS) <= set(carried) | {"total"}


def defined_names():
    for package in ("probe", "simulator", "collector"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for name in re.findall(r"^\s*(?:def|class)\s+(\w+)", path.read_text(), re.M):
                yield path, name


@pytest.mark.parametrize("synonym", SYNONYMS)
def test_no_public_name_uses_a_synonym(synonym):
    used = [f"{path.name}: {name}" for path, name in defined_names() if synonym in name.lower()]
    assert not used, f"{used}: say {SYNONYMS[synonym]}"


def test_every_command_of_the_readme_works():
    from probe.base.main import footfall

    for words in sorted(set(re.findall(r"`footfall ([a-z]+(?: [a-z]+)?(?:[ ,`a-z/]*[a-z]+)?)", README))):
        command, *inner = re.findall(r"[a-z]+", words)
        found = footfall.get_command(None, command)
        assert found is not None, command
        assert not inner or inner[0] in getattr(found, "commands", inner), words


def test_every_file_of_the_readme_exists():
    for name in re.findall(r"`((?:tests|benchmarks|simulator|probe|collector)/[\w/.]+)`", README):
        assert (ROOT / name).exists(), name


def test_the_layout_of_the_readme_is_the_one_that_is_tested():
    code = (ROOT / "tests/stranger/crossroads.py").read_text().split('"""\n', 1)[1].strip()
    assert code in README


def test_the_changelog_knows_the_version():
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.M)[1]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()
