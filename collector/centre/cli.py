"""The centre's commands.  Everything heavy is imported when a command runs."""

import csv
import io
import json
from contextlib import closing
from pathlib import Path

import click

COMMANDS = {"ask": ("collector.centre.cli", "ask", "How many people, where and when: a question to a run or store.")}
FIELDS = ("slot_start", "slot_end", "value", "low", "high", "coverage", "state", "unit")  # where there is no row
DIGITS = {"value": 1, "low": 1, "high": 1, "coverage": 3, "place_error": 3}
ROWS_MAX = 60  # nobody reads more at once
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run such a name


@click.command()
@click.argument("run_or_store", type=click.Path(path_type=Path))
@click.argument("table")
@click.option("--area", multiple=True, help="Id or name of an area (of flows: from it and to it), or zone; repeatable.")
@click.option("--from", "begin", metavar="TIME", help="ISO time, local to the areas, e.g. 2026-05-12T08:00.")
@click.option("--to", "end", metavar="TIME", help="Exclusive.")
@click.option("--level", help="slot, hour, part (4 hours), day or week; default hour, or that of the table.")
@click.option("--by", metavar="AXIS[,AXIS]", help="Axes to keep; default all but age and gender.")
@click.option("--only", metavar="AXIS=ROW[,ROW]", multiple=True, help="Rows of an axis, before its sum; repeatable.")
@click.option("--extrapolate", is_flag=True, help="People, not counted persons; weighed by age where told.")
@click.option("--partial", is_flag=True, help="Also where slots are missing: of those that are there.")
@click.option("--format", "style", type=click.Choice(("table", "csv", "json")), default="table", show_default=True)
def ask(run_or_store: Path, table: str, extrapolate: bool, style: str, **asked) -> None:
    """Print how many people were in each area, on average over each period; or what else TABLE counts.

    Presence and profile are told as persons on average, the others as how many came, went or
    stayed; of tables by day (visitors, dwell, origin) a week is the sum of its days, and counts
    a person once a day. Each value comes with its 95 % interval (of the noise alone), the
    coverage of the period, and a state: published, hidden (below what 20 persons can make of
    it, and the noise), missing (not every slot is stored: never zero), warming (of up to four
    hours, soon after a start or midnight; of a day that is a small part, and the day is
    published), partial (with --partial: of the slots that are stored alone), unresolved (the
    area cannot be resolved at this site spacing: most of those who stand in it are located
    elsewhere). place_error, where the edge states it, is the share of them who are; what no
    event told is on top of it. unit is what a value counts. Times are local, with their offset;
    --from and --to are widened to whole periods.

    --only leaves rows out of an axis before it is added up, by id or name: stopped for two
    minutes or more, women and men: dwell --only stay=2-5,5-15,15-60,60+ --by gender.
    """
    from collector.centre import questions

    store, folder = questions.opened(run_or_store)
    with closing(store):
        factors = questions.extrapolation(folder, store, table) if extrapolate else ()
        rows = questions.answer(store, question := questions.Question(table, **asked), *factors)
        remarks = questions.remarks(store, question)
    if any(row["state"] == "unresolved" for row in rows):
        remarks.append("unresolved: these areas cannot be resolved at this site spacing")
    for words in remarks:
        click.echo(words, err=True)
    rows = [{key: round(one, DIGITS[key]) if type(one) is float else one for key, one in row.items()} for row in rows]
    as_json = json.JSONEncoder(ensure_ascii=False, indent=1).encode
    click.echo({"table": as_table, "csv": as_csv, "json": as_json}[style](rows))


def as_csv(rows: list[dict]) -> str:
    """Return CSV; a name that a spreadsheet would take for a formula is quoted with an apostrophe."""
    writer = csv.DictWriter(out := io.StringIO(), rows[0] if rows else FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: f"'{one}" if isinstance(one, str) and one.startswith(FORMULA) else one
                      for key, one in row.items()} for row in rows)
    return out.getvalue().rstrip("\n")


def as_table(rows: list[dict]) -> str:
    """Return aligned columns for reading, the unit below; of many rows the hidden ones are counted there instead."""
    shown = [row for row in rows if len(rows) <= ROWS_MAX or row["state"] != "hidden"]
    lines = [fields := [key for key in (rows[0] if rows else FIELDS) if key != "unit"]]
    lines += [["-" if row[key] is None else f"{row[key]:,.{DIGITS[key]}f}" if key in DIGITS else row[key]
               for key in fields] for row in shown]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shape = "  ".join(f"{{:{'>' if key in DIGITS else '<'}{n}}}" for key, n in zip(fields, widths, strict=True))
    below = [f"unit: {row['unit']}" for row in rows[:1]]
    if hidden := sum(row["state"] == "hidden" for row in rows):
        below.append(f"{hidden:,} of {len(rows):,} rows are hidden (below the threshold); "
                     "fewer axes in --by or a longer --level show more")
    return "\n".join([*(shape.format(*line).rstrip() for line in lines), *below])
