"""The simulator's commands.  Nothing heavy is imported before one runs: numba is behind it, and --help is quick."""

import json
import signal
import sys
import tomllib
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import click

from probe.base import clock, plugins
from probe.base.config import ConfigError, did_you_mean, read_text

COMMANDS = {
    "run": ("simulator.cli", "run", "The whole: world, edge, store, then the score."),
    "score": ("simulator.cli", "score", "Truth beside estimate: noise, place and total error."),
    "scenario": ("simulator.cli", "scenario", "Scenarios: list, show, check."),
    "layout": ("simulator.cli", "layout", "Tower layouts: list, check."),
    "bench": ("simulator.cli", "bench", "Benchmarks: pipeline, growth, consent, count."),
}
sets_option = click.option("--set", "sets", multiple=True, metavar="KEY=VALUE",
                           help="Change a setting, e.g. world.step_s=60.")
json_option = click.option("--json", "as_json", is_flag=True, help="One object on stdout.")


@click.command()
@click.argument("scenario", default="city")
@sets_option
@click.option("--handsets", type=click.IntRange(1), help="How many handsets of our network.")
@click.option("--hours", type=float, help="The first hours of the scenario only.")
@click.option("--days", type=click.IntRange(1), help="How many local days.")
@click.option("--seed", type=int, help="Another seed, another world.")
@click.option("--shards", type=int, default=1, show_default=True, help="World and edge processes; divides 64.")
@click.option("--speed", type=float, default=0.0, help="Simulated seconds a second; 0 = as fast as possible.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("run"), show_default=True)
@click.option("--force", is_flag=True, help="Replace an earlier run in --out.")
@click.option("--subscribers", type=click.Path(path_type=Path), metavar="DIR",
              help="Keep the edge's subscriber folder; what is recorded there counts in the next run.")
@click.option("--address", default="tcp://127.0.0.1:*", show_default=True, help="Where the store listens.")
@json_option
def run(scenario, sets, handsets, hours, days, seed, shards, speed, out, force, subscribers, address, as_json):
    """Simulate SCENARIO (a shipped name or a TOML file), count it at the edge, store it, judge it."""
    from probe.base.process import loopback
    from simulator import deployment, report

    rules = {f"--shards {shards}: use 1, 2, 4, 8, 16, 32 or 64": shards < 1 or 64 % max(shards, 1),
             "--hours and --days: give one of them": hours is not None and days is not None,
             f"--speed {speed}: use simulated seconds a second, 0 for as fast as possible": not speed >= 0}
    if problems := [words for words, broken in rules.items() if broken]:
        raise ConfigError("usage", problems)
    loopback(address)
    given = {"handsets": handsets, "seed": seed, "hours": hours, "days": days if hours is None else 0}
    sets = [*sets, *(f"world.{key}={value}" for key, value in given.items() if value is not None)]
    stage = deployment.checked(scenario, sets)
    if subscribers:
        deployment.registered(stage, deployment.outside(subscribers, out))  # told before an earlier run is replaced
    begun = report.begun(stage, out)
    report.write_json(deployment.fresh(out, force), begun)
    click.echo(f"{report.layout_in_words(stage.report)}\n{starting()}", err=True)
    for words in report.foreseen(stage):
        click.echo(words, err=True)
    for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: what was sealed arrives, nothing private stays
        signal.signal(number, signal.default_int_handler)
    try:
        with progress(stage.scenario.end_ms - stage.scenario.start_ms, begun["scenario"]) as tell:
            reports = deployment.Deployment(stage, out, shards, address, speed, subscribers).run(tell)
        found = report.judged(stage, out, begun, reports)
    except KeyboardInterrupt:
        report.write_json(out, {**begun, "state": "interrupted"})
        click.echo(report.interrupted(out, stage.scenario.start_ms), err=True)
        raise click.exceptions.Exit(130) from None
    except BaseException:
        report.write_json(out, {**begun, "state": "failed"})
        raise
    click.echo(json.dumps(found) if as_json else report.summary(found))


def starting() -> str:
    """Return what is said at the start: that kernels will be compiled, where none are kept of these sources."""
    from probe.base import jit

    rooms = (Path(jit.__file__).parents[2] / room / "kernels" for room in ("simulator", "collector/edge"))
    kept = all(any(jit.cache_dir(room).rglob("*.nbc")) for room in rooms)
    return "starting" if kept else "starting; the first run compiles, a minute or two"


@contextmanager
def progress(length_ms: int, label: str):
    """Yield progress(simulated_ms, events): a bar on a terminal, a line every tenth elsewhere, on stderr."""
    bar: Any = click.progressbar(length=length_ms, label=label, file=sys.stderr, item_show_func=lambda words: words)
    watch, terminal, tenth = clock.WallClock(), sys.stderr.isatty(), 0
    begin_s = watch.now_s()

    def tell(simulated_ms: int, events: int) -> None:
        nonlocal begin_s, tenth
        begin_s = begin_s if events else watch.now_s()
        rate = events / max(watch.now_s() - begin_s, 0.1)
        words = f"{simulated_ms / 3_600_000:5.1f} h  {events:,} events  {rate:,.0f}/s"
        if terminal:
            bar.update(simulated_ms - bar.pos, words)
        elif tenth < (tenth := max(tenth, simulated_ms * 10 // length_ms)):
            click.echo(f"{label}  {words}", err=True)

    with bar if terminal else nullcontext():
        yield tell


@click.command()
@click.argument("run_dir", metavar="RUN", type=click.Path(path_type=Path))
@json_option
def score(run_dir: Path, as_json: bool):
    """Print the errors of every table of a run by level, each held against what it is named after."""
    from simulator import report, score as judge

    try:
        found: dict[str, Any] = json.loads(read_text(run_dir / "run.json", "the run"))
        state = found["state"]
        told = {name: found[name] for name in ("fix_error_m", "sensing", "caps", "refusals")} if state == "done" else {}
    except (ValueError, TypeError, LookupError) as error:
        words = error.problems if isinstance(error, ConfigError) else ["run.json is damaged, or of another program"]
        raise ConfigError(str(run_dir), words) from None
    if state != "done":
        raise ConfigError(str(run_dir), [f"the run is {state}; only a finished one can be judged"])
    tables = judge.read(run_dir)
    told["bias"] = {name: one.bias for name, one in tables.items()}
    errors = {name: one.errors(found) for name, one in tables.items()}
    click.echo(json.dumps({**errors, **told}) if as_json else report.scores(errors, {**found, **told}))


scenario = click.Group("scenario", help="Look at scenarios.")
layout = click.Group("layout", help="Look at tower layouts.")


@scenario.command("list")
def list_shipped():
    """List the shipped scenarios."""
    from simulator.scenario import shipped

    for name, text in shipped().items():
        click.echo(f"{name:10}  {tomllib.loads(text)['about']}")


@scenario.command()
@click.argument("name", metavar="SCENARIO")
def show(name: str):
    """Print a scenario as TOML, with the source of each figure."""
    from simulator.scenario import text_of

    click.echo(text_of(name), nl=False)


@scenario.command()
@click.argument("name", metavar="SCENARIO")
@sets_option
def check(name: str, sets: tuple[str, ...]):
    """Say everything that is wrong with a scenario, or what it would run."""
    from simulator.deployment import checked
    from simulator.report import foreseen, layout_in_words

    one = (stage := checked(name, list(sets))).scenario
    click.echo("\n".join([f"{one.handsets:,} handsets of {stage.persons:,} people, {one.areas.elsewhere} areas, "
                          f"{one.hours:g} h", layout_in_words(stage.report), *foreseen(stage)]))


@layout.command("list")
def list_installed():
    """List the layouts that are installed, ours and others'."""
    for name in sorted(plugins.installed("footfall.layouts")):
        try:
            about = (plugins.load("footfall.layouts", name).__doc__ or "").strip().partition("\n")[0]
        except ConfigError as error:
            about = f"cannot be used: {error.problems[0]}"
        click.echo(f"{name:14}  {about}")


@layout.command("check")
@click.argument("what", metavar="FILE_OR_KIND")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="A setting of the layout, as in [layout].")
@json_option
def check_layout(what: str, sets: tuple[str, ...], as_json: bool):
    """Say what is in a layout: cells, sites, rows left out and why, fields imputed and how.

    A name of `footfall layout list` is built and held against the contract of a layout; anything
    else is read as a CSV file, columns of other names by --set columns.height_m=Antennaht.
    """
    from simulator.layouts import check as contract
    from simulator.scenario import as_toml

    there = plugins.installed("footfall.layouts")
    kind = what if what in there else "table"
    file = {} if kind == what else {"path": what, "drop_bad_rows": True}
    if file and not Path(what).expanduser().exists():
        raise ConfigError("layout", [f'no plugin "{what}"{did_you_mean(what, there)}, and no such file; installed: '
                                     f"{', '.join(sorted(there))}, or a CSV file"])
    try:
        values = tomllib.loads("\n".join(map(as_toml, sets)))
    except tomllib.TOMLDecodeError:
        raise ConfigError("--set", [f"{' '.join(sets)}: write KEY=VALUE, each key once"]) from None
    settings = plugins.settings("footfall.layouts", "layout", {"kind": kind, **file, **values})
    if broken := contract.broken(settings):
        raise ConfigError(what, broken)
    made = settings.build()
    report = contract.complete(made, contract.frame_of(made))[1]
    found = {"format": kind, **report._asdict(),
             "dropped": [{"row": row, "reason": reason} for row, reason in report.dropped],
             "imputed": {name: count for name, (count, _) in report.imputed.items()}}
    words = [f"{kind}: {report.cells} cells on {report.sites} sites",
             *(f"imputed {name} ({count} cells): {rule}" for name, (count, rule) in report.imputed.items()),
             *(f"dropped row {row}: {reason}" for row, reason in report.dropped),
             *(f"left alone: column {name}" for name in report.unasked)]
    click.echo(json.dumps(found) if as_json else "\n".join(words))


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--small", is_flag=True, help="A minute's worth, to see that it works.")
@json_option
def bench(names: tuple[str, ...], small: bool, as_json: bool):
    """Run benchmarks: pipeline (core ns an event by stage), growth (with handsets, with cells), consent, count."""
    from simulator.bench import BENCHMARKS

    if unknown := [name for name in names if name not in BENCHMARKS]:
        raise ConfigError("bench", [f'no benchmark "{name}"{did_you_mean(name, BENCHMARKS)}; there is: '
                                    f"{', '.join(BENCHMARKS)}" for name in unknown])
    found = {name: BENCHMARKS[name](small) for name in BENCHMARKS if name in (names or BENCHMARKS)}
    words = (f"{name}\n" + "\n".join(f"  {key}: {json.dumps(value)}" for key, value in one.items())
             for name, one in found.items())
    click.echo(json.dumps(found) if as_json else "\n".join(words))
