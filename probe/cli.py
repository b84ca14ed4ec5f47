"""The probe's commands: what a subscriber says of being counted.  Everything heavy is imported when a command runs."""

import csv
import json
import re
import sys
from pathlib import Path
from typing import Any

import click

from probe.base.config import ConfigError

COMMANDS = {"consent": ("probe.cli", "consent", "A person's yes and no, by purpose: give, withdraw, refuse, show.")}
COLUMNS, OPTIONAL = ("subscriber", "purpose", "answer"), ("time", "text_version", "channel", "proof")
STEPS = {
    "give": "Say yes: the person may be counted for a purpose.",
    "withdraw": "Take a yes back: the person is not counted any more.",
    "refuse": "Object: the person is not counted, whether they ever said yes or not.",
}


class Discreet(click.Group):
    """A group whose faults never tell a number, wherever somebody typed it."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise click.UsageError(discreet(error.format_message()), error.ctx) from None
        except ConfigError as error:
            raise ConfigError(discreet(error.where), [*map(discreet, error.problems)]) from None


def discreet(words: str) -> str:
    """Return words without what may be the number of a subscriber."""
    return re.sub(r"\d(?:[ -]?\d){11,}", "[number]", words)


@click.group(cls=Discreet)
def consent():
    """A person's yes and no to being counted, by purpose and in one step each.

    FOLDER is the subscriber folder of an edge. NUMBER has 15 digits; - reads it from stdin, so that it stays out of the
    history of the shell. It is never printed, but for the made-up one of `example`.

    A yes counts from then on, nothing before; on the day of a no, from the next day on. After a no, what is still being
    counted is set right as if they had not been there that day; what was sealed stays.
    """


folder_argument = click.argument("folder", type=click.Path(path_type=Path))
json_option = click.option("--json", "as_json", is_flag=True, help="One object on stdout.")


def step(answer: str) -> None:
    """Add the command of one answer: the same shape for all."""

    @consent.command(answer, help=STEPS[answer], epilog="NUMBER has 15 digits; - reads it from stdin.")
    @folder_argument
    @click.argument("number")
    @click.option("--purpose", required=True, help="network, market_research or marketing.")
    @click.option("--text-version", default="unstated", show_default=True, help="Of the text that they were shown.")
    @click.option("--channel", default="command", show_default=True, help="How they said it: shop, letter, telephone.")
    @click.option("--at", metavar="TIME", help="When it takes effect, in local time: 2026-05-12T10:00. Without it: at "
                  "once (in the folder of a simulation: from its begin), and what was said for a later time is void.")
    @json_option
    def command(folder, number, purpose, text_version, channel, at, as_json):
        from probe.register import Register, Said

        register = Register(folder)
        known = register.number(sys.stdin.readline() if number == "-" else number)
        (said,) = register.record([Said(known, purpose, answer, register.moment(at), text_version, channel)])
        (now,) = [one for one in register.shown(known)["purposes"] if one["purpose"] == purpose]
        found = register.told(said) | {"now": now}
        more = [f"  now: {now['answer']}", *standing(now)] if now["later"] or any(now["turns"].values()) else []
        click.echo(json.dumps(found) if as_json else "\n".join(["{purpose}: {answer}, {since}".format(**found), *more]))
        if found["answer"] == "yes" and now["why"]:
            click.echo(f"not counted all the same: {now['why']}", err=True)


for _answer in STEPS:
    step(_answer)


def standing(one: dict[str, Any]) -> list[str]:
    """Return what holds now of a purpose that is shown, and what will."""
    lines = [f"  basis {basis}: {', '.join(['counted' if yes else 'not counted', *one['turns'][basis]])}"
              for basis, yes in one["counted"].items()]
    return lines + ["  announced: {answer} {since}".format(**later) for later in one["later"]]


@consent.command()
@folder_argument
@click.argument("number")
@json_option
def show(folder, number, as_json):
    """Show what NUMBER said, purpose by purpose, and whether they are counted.

    An edge counts either those who said yes (basis "consent") or all who did not object (basis "anonymous"). Minors
    are never counted, and the no of one handset holds for all handsets of a person.
    """
    from probe.register import UNKNOWN, Register

    register = Register(folder)
    if not (known := register.number(sys.stdin.readline() if number == "-" else number)):
        raise ConfigError("NUMBER", [UNKNOWN])
    found = register.shown(known)
    lines = ["a minor: never counted, whatever is said"] * found["minor"] + [
        line for one in found["purposes"] for line in ("{purpose}: {answer}, {since}".format(**one), *standing(one))]
    click.echo(json.dumps(found) if as_json else "\n".join(lines))


@consent.command()
@folder_argument
@click.option("--purpose", default="market_research", show_default=True, help="network, market_research or marketing.")
def example(folder, purpose):
    """Print the made-up number of an adult who said yes to a purpose, to try with: in the folder of a simulation."""
    from probe.register import Register

    click.echo(Register(folder).example(purpose))


@consent.command("import")
@folder_argument
@click.argument("file", metavar="FILE.csv", type=click.File(encoding="utf-8-sig"))
@json_option
def import_file(folder, file, as_json):
    """Record the decisions of a CSV file: all of them or, where a row is wrong, none. Every wrong row is named.

    Columns: subscriber, purpose, answer (give, withdraw or refuse); and, where they are known, time (ISO, local),
    text_version, channel, proof. In UTF-8; - in place of the file reads stdin.
    """
    from probe.register import Register, Said

    register, reader = Register(folder), csv.DictReader(file, strict=True)
    try:
        names, rows = reader.fieldnames or [], [(reader.line_num, row) for row in reader]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ConfigError(file.name, [f"after line {reader.line_num}: {error}; save it as UTF-8"]) from None
    if wrong := sorted(({*names} ^ {*COLUMNS}) - {*OPTIONAL}):
        raise ConfigError(file.name, [f"line 1: name the columns {', '.join(COLUMNS)}, with commas, not semicolons; "
                                      f"there may be {', '.join(OPTIONAL)}; missing or unknown: {', '.join(wrong)}"])
    torn = [(line, "has more or fewer fields than line 1") for line, row in rows if None in (*row, *row.values())]
    whole = [(line, row) for line, row in rows if None not in (*row, *row.values())]
    said = [Said(register.number(row["subscriber"]), row["purpose"], row["answer"],
                 register.moment(row.get("time") or None), row.get("text_version") or "unstated",
                 row.get("channel") or "import", row.get("proof", "")) for _, row in whole]
    if problems := torn + [(whole[index][0], words) for index, words in register.problems(said)]:
        raise ConfigError(file.name, [f"line {line}: {words}" for line, words in sorted(problems)])
    register.record(said)
    found = {"recorded": len(said), "subscribers": len({one.number for one in said})}
    click.echo(json.dumps(found) if as_json else
               "recorded {recorded:,} decisions of {subscribers:,} subscribers".format(**found))


@consent.command()
@folder_argument
@click.option("--port", type=click.IntRange(0, 65_535), default=8040, show_default=True, help="0: any that is free.")
@click.option("--open", "open_it", is_flag=True, help="Open it in the browser.")
def page(folder, port, open_it):
    """Serve the page on which people say yes and no themselves, on this machine alone, until Ctrl-C.

    It has no log-in of its own: whoever can use it can ask for any number. What is said there is recorded with the
    version of the text that was shown.
    """
    from probe.page import serve
    from probe.register import Register

    serve(Register(folder), port, open_it)
