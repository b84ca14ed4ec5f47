"""Settings that name every problem at once: key, value, rule, remedy; and the two faults that end a command."""

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError


class ConfigError(ValueError):
    """A configuration or an input file says something we cannot run.  Lists every problem."""

    def __init__(self, where: str, problems: list[str]):
        self.where, self.problems = where, problems
        super().__init__(f"{where}: " + "; ".join(problems))


class RunError(RuntimeError):
    """The run failed for a reason outside the input: port in use, disk full, store unreachable."""


class Settings(BaseModel):
    """Base of every settings class: frozen, and strangers' keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def needs(rule: Callable[[Any], bool], words: str) -> AfterValidator:
    """Return a check to annotate a field with: a value that breaks the rule is refused in these words."""

    def check(value: Any) -> Any:
        if not rule(value):
            raise ValueError(words)
        return value

    return AfterValidator(check)


S = TypeVar("S", bound=Settings)


def parse(settings_type: type[S], where: str, mapping: dict) -> S:
    """Return settings_type built from parsed TOML, or raise every problem at once."""
    try:
        return settings_type.model_validate(mapping)
    except ValidationError as error:
        raise ConfigError(where, [problem(e, settings_type) for e in error.errors()]) from None


def problem(error: Any, settings_type: type[Settings]) -> str:
    """Return one pydantic error in our words."""
    key = ".".join(map(str, error["loc"])) or settings_type.__name__
    if error["type"] == "extra_forbidden":
        return f'unknown key "{key}"{did_you_mean(key, settings_type.model_fields)}'
    return f"{key} = {error['input']!r}: {error['msg'].removeprefix('Value error, ')}"


def did_you_mean(name: str, known) -> str:
    """Return ' (did you mean "..."?)' for the closest known name, or nothing."""
    near = get_close_matches(name, list(known), n=1)
    return f' (did you mean "{near[0]}"?)' if near else ""


def read_text(path: Path, what: str, size_max: int = 256 << 20) -> str:
    """Return the text of an input file, or say which file is missing or unreadable."""
    try:
        if path.stat().st_size <= size_max:
            return path.read_text(encoding="utf-8-sig")
        fault = f"is larger than {size_max >> 20} MiB"
    except (OSError, UnicodeDecodeError) as error:
        fault = "does not exist; check the path" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"
    raise ConfigError(str(path), [f"{what} {fault}"])
