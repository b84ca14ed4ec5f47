"""The centre's commands.  Everything heavy is imported when a command runs."""

import csv
import io
import json
from contextlib import closing
from pathlib import Path

import click

COMMANDS = {"ask": ("collector.centre.cli", "ask", "How many people, where and when: a question to a run or store.")}
FIELDS = ("area", "slot_start", "slot_end", "value", "low", "high", "coverage", "state")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run such a name


@click.command()
@click.argument("run_or_store", type=click.Path(path_type=Path))
@click.argument("table")
@click.option("--area", help="Id or name of one area; default all.")
@click.option("--from", "begin", metavar="TIME", help="ISO time, local to the areas, e.g. 2026-05-12T08:00.")
@click.option("--to", "end", metavar="TIME", help="Exclusive.")
@click.option("--level", default="hour", show_default=True, help="slot, hour or day.")
@click.option("--by", default="area", show_default=True, help="Axis of the table.")
@click.option("--extrapolate", is_flag=True, help="People instead of counted devices.")
@click.option("--partial", is_flag=True, help="Also where slots are missing: the mean over those that are there.")
@click.option("--format", "style", type=click.Choice(("table", "csv", "json")), default="table", show_default=True)
def ask(run_or_store: Path, table: str, extrapolate: bool, style: str, **asked) -> None:
    """Print how many people were in each area, on average over each period.

    Each value comes with its 95 % interval (of the noise alone), the coverage of the
    period, and a state: published, hidden (below the threshold of 20 devices and the
    noise), missing (not every slot is stored: never zero), warming (a slot or an hour
    after a start or midnight; of a day that hour is a small part, and the day is
    published).  Times are local, with their offset.
    """
    from collector.centre import questions

    store, folder = questions.opened(run_or_store)
    with closing(store):
        factor = questions.extrapolation(folder) if extrapolate else 1.0
        rows = questions.answer(store, questions.Question(table, **asked), factor)
    as_json = json.JSONEncoder(ensure_ascii=False, indent=1).encode
    click.echo({"table": as_table, "csv": as_csv, "json": as_json}[style](rows))


def as_csv(rows: list[dict]) -> str:
    """Return CSV; a name that a spreadsheet would take for a formula is quoted with an apostrophe."""
    writer = csv.DictWriter(out := io.StringIO(), FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "area": "'" * row["area"].startswith(FORMULA) + row["area"]} for row in rows)
    return out.getvalue().rstrip("\n")


def as_table(rows: list[dict]) -> str:
    """Return aligned columns for reading."""
    lines = [FIELDS]
    for row in rows:
        numbers = ("-" if row[name] is None else f"{row[name]:,.1f}" for name in FIELDS[3:6])
        lines.append((*(row[name] for name in FIELDS[:3]), *numbers, f"{row['coverage']:.2f}", row["state"]))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shape = "  ".join(f"{{:{'>' if 3 <= i <= 6 else '<'}{width}}}" for i, width in enumerate(widths))
    return "\n".join(shape.format(*line).rstrip() for line in lines)
