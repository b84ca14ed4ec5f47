"""A scenario: one TOML file that says what world is run and how it is counted."""

import json
import re
import tomllib
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, field_validator

from probe.base import clock
from probe.base.config import ConfigError, Settings, did_you_mean, parse, read_text
from probe.wire import areas as wire_areas
from probe.wire.areas import AreaSet
from simulator.country import AreaSettings, made_areas
from simulator.population import PopulationSettings

SECTIONS = ("world", "population", "traffic", "layout", "propagation",
            "areas", "probe", "collector", "slots", "privacy")  # fmt: skip
SLOT_S = 900
GRADES = ("core", "trace", "mdt")


class WorldSettings(Settings):
    """When and how much.  handsets = 0: as many as the residents and the share say."""

    seed: Annotated[int, Field(ge=0, lt=1 << 62)] = 1
    handsets: Annotated[int, Field(ge=0, le=100_000_000)] = 0
    start: datetime = datetime(2026, 5, 12)  # a Tuesday, local time
    zone: str = "Europe/Berlin"
    hours: Annotated[float, Field(gt=0, le=24 * 400, multiple_of=0.25)] = 24  # a run ends with a slot
    step_s: Annotated[int, Field(ge=1, le=SLOT_S)] = 300

    @field_validator("step_s")
    @classmethod
    def divides_a_slot(cls, step_s: int) -> int:
        if SLOT_S % step_s:
            raise ValueError("does not divide 900; use 10, 60, 300 or 900, so that slots are whole steps")
        return step_s

    @field_validator("start")
    @classmethod
    def begins_a_slot(cls, start: datetime) -> datetime:
        if start.tzinfo or start.minute % 15 or start.second or start.microsecond:
            raise ValueError('needs a local time on a quarter of an hour, such as "2026-05-12T00:00"')
        return start

    @field_validator("zone")
    @classmethod
    def is_known(cls, zone: str) -> str:
        try:
            clock.zone(zone)
        except ConfigError as error:
            raise ValueError(error.problems[0]) from None
        return zone


SETTING = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*=.*")
OURS: dict[str, type[Settings]] = {
    "world": WorldSettings,
    "population": PopulationSettings,
    "areas": AreaSettings,
}


@dataclass(frozen=True)
class Scenario:
    """A checked scenario.  Sections of other rooms are kept as they were given.

    layout and propagation name a plugin as `kind`; see probe.base.plugins.settings.
    """

    name: str
    about: str
    world: WorldSettings
    population: PopulationSettings
    area: AreaSettings
    traffic: dict[str, Any]
    layout: dict[str, Any]
    propagation: dict[str, Any]
    probe: dict[str, Any]
    collector: dict[str, Any]
    slots: dict[str, Any]
    privacy: dict[str, Any]

    @property
    def start_ms(self) -> int:
        """Return when the world begins, UTC."""
        return clock.epoch_ms(self.world.start, self.world.zone)

    @property
    def end_ms(self) -> int:
        """Return when the world ends, UTC."""
        return self.start_ms + round(self.world.hours * clock.HOUR_MS)

    @cached_property
    def area_text(self) -> str:
        """Return the areas as GeoJSON text, read or made."""
        if self.area.path:
            return read_text(Path(self.area.path), "the areas file", wire_areas.SIZE_MAX)
        return made_areas(self.area)

    @cached_property
    def areas(self) -> AreaSet:
        """Return the areas, or raise ConfigError."""
        return wire_areas.from_geojson(self.area_text, self.area.path or "[areas]")

    @property
    def handsets(self) -> int:
        """Return how many handsets of our network there are."""
        if self.world.handsets:
            return self.world.handsets
        residents = float(np.nansum(self.areas.residents))
        if residents * self.population.share < 1:
            raise ConfigError("[world]", ["handsets = 0: the areas give no residents; say how many handsets"])
        return round(residents * self.population.share)


def shipped() -> dict[str, str]:
    """Return {name: TOML text} of the scenarios that come with the program."""
    folder = files("simulator.scenarios")
    found = {f.name.removesuffix(".toml"): f for f in folder.iterdir() if f.name.endswith(".toml")}
    return {name: found[name].read_text(encoding="utf-8") for name in sorted(found)}


def load(name_or_path: str, sets: list[str]) -> Scenario:
    """Return a shipped scenario or one of a TOML file, changed by KEY=VALUE settings.

    Raises ConfigError with every problem of every section at once.
    """
    scenario, problems = read(name_or_path, sets)
    if problems:
        raise ConfigError(f"scenario {scenario.name}", problems)
    return scenario


def read(name_or_path: str, sets: list[str]) -> tuple[Scenario, list[str]]:
    """Return a scenario and its problems; a section with problems has its defaults.

    For whoever knows more sections than the world does and wants to name all problems at once.
    """
    problems: list[str] = []
    document = changed(name_or_path, sets, problems)
    about = document.pop("about", "")
    for key, content in list(document.items()):
        if key not in SECTIONS:
            problems.append(f'unknown section "{key}"{did_you_mean(key, SECTIONS)}')
        elif not isinstance(content, dict):
            problems.append(f"{key} = {document.pop(key)!r}: is no section; write [{key}]")
        elif "{data}" in str(content):
            problems.append(f"[{key}] names files of a folder that is not given: --set data=DIR")
    sections: dict[str, Any] = {name: document.get(name, {}) for name in SECTIONS}
    for name in ("layout", "propagation"):
        if not isinstance(sections[name].get("kind"), str):
            problems.append(f"[{name}] kind is missing; name a plugin")
    grade = str(sections["probe"].get("grade", "trace"))
    if grade not in GRADES:
        problems.append(
            f'[probe] grade = "{grade}"{did_you_mean(grade, GRADES)}: use one of {", ".join(GRADES)}'
        )
    for name, settings_type in OURS.items():
        try:
            sections[name] = parse(settings_type, name, sections[name])
        except ConfigError as error:
            problems += [f"[{name}] {problem}" for problem in error.problems]
            sections[name] = settings_type()
    sections["area"] = sections.pop("areas")
    return Scenario(Path(name_or_path).stem, str(about), **sections), problems


def text_of(name_or_path: str) -> str:
    """Return the TOML text of a shipped scenario or a file."""
    known = shipped()
    if name_or_path in known:
        return known[name_or_path]
    if Path(name_or_path).suffix == ".toml":
        return read_text(Path(name_or_path), "the scenario file", 1 << 20)
    hint, names = did_you_mean(name_or_path, known), ", ".join(known)
    problem = f'no scenario "{name_or_path}"{hint}; shipped: {names}; or name a .toml file'
    raise ConfigError("scenario", [problem])


def changed(name_or_path: str, sets: list[str], problems: list[str]) -> dict[str, Any]:
    """Return the parsed TOML with its {data} and KEY=VALUE settings put in; add what is wrong with them."""
    good = [text for text in sets if SETTING.fullmatch(text)]
    problems += [f"--set {text}: write SECTION.KEY=VALUE, or data=DIR" for text in sets if text not in good]
    given = dict(text.split("=", 1) for text in good)
    folder = given.pop("data", None)
    if folder is not None and not Path(folder).is_dir():
        problems.append(f"--set data={folder}: is no folder")
    document = document_of(name_or_path, folder)
    for key, text in sorted(given.items(), key=lambda pair: not pair[0].endswith(".kind")):
        try:
            merge(document, tomllib.loads(f"{key} = {text}"))
        except tomllib.TOMLDecodeError:  # words need no quotes here
            merge(document, tomllib.loads(f"{key} = {json.dumps(text)}"))
    return document


def document_of(name_or_path: str, folder: str | None = None) -> dict[str, Any]:
    """Return the parsed TOML, its {data} replaced by a folder; paths in a file are relative to its own."""
    text = text_of(name_or_path)
    if folder is not None:
        text = text.replace("{data}", json.dumps(str(Path(folder).absolute()))[1:-1])
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(name_or_path, [f"is not TOML: {error}"]) from None
    for content in document.values():
        if isinstance(content, dict) and isinstance(content.get("path"), str) and content["path"]:
            content["path"] = str(Path(name_or_path).parent / content["path"])
    return document


def merge(into: dict[str, Any], new: dict[str, Any]) -> None:
    """Put new values into a document, deeply.  Another kind of plugin starts its section afresh."""
    for key, value in new.items():
        old = into.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            if value.get("kind", old.get("kind")) != old.get("kind"):
                old.clear()
            merge(old, value)
        else:
            into[key] = value
