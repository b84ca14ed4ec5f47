"""footfall run and footfall score."""

import json
import sys
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("scenario", default="city")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Change a setting, e.g. world.step_s=60.")
@click.option("--handsets", type=int, help="How many handsets of our network.")
@click.option("--hours", type=float, help="The first hours of the scenario only.")
@click.option("--days", type=float, help="How many days.")
@click.option("--seed", type=int, help="Another seed, another world.")
@click.option("--shards", type=int, default=1, show_default=True, help="World and edge processes; divides 64.")
@click.option("--speed", type=float, default=0.0, help="Simulated seconds a second; 0 = as fast as possible.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("run"), show_default=True)
@click.option("--force", is_flag=True, help="Replace an earlier run in --out.")
@click.option("--address", default="tcp://127.0.0.1:*", show_default=True, help="Where the store listens.")
@click.option("--json", "as_json", is_flag=True, help="One object on stdout.")
def run(scenario, sets, handsets, hours, days, seed, shards, speed, out, force, address, as_json):
    """Simulate SCENARIO (a shipped name or a TOML file), count it at the edge, store it, judge it."""
    from probe.base.config import ConfigError
    from probe.base.process import loopback
    from simulator import report, result
    from simulator.deployment import Deployment, checked, fresh

    rules: tuple = ((shards < 1 or 64 % max(shards, 1), f"--shards {shards}: use 1, 2, 4, 8, 16, 32 or 64"),
             (hours is not None and days is not None, "--hours and --days: give one of them"),
             (speed < 0, f"--speed {speed}: is negative; use 0 for as fast as possible"))
    if problems := [words for broken, words in rules if broken]:
        raise ConfigError("usage", problems)
    loopback(address)
    given = {"handsets": handsets, "seed": seed, "hours": hours if days is None else days * 24}
    sets = [*sets, *(f"world.{key}={value}" for key, value in given.items() if value is not None)]
    stage = checked(scenario, sets)
    click.echo(report.layout_in_words(stage.layout[1]), err=True)
    begun, state = result.begun(stage, out), "failed"
    result.write_json(fresh(out, force), begun)
    try:
        deployment = Deployment(stage, out, shards, address, speed)
        with Progress(stage.scenario.end_ms - stage.scenario.start_ms, scenario) as progress:
            reports = deployment.run(progress)
        state = "done"
    except KeyboardInterrupt:
        state = "interrupted"
        raise
    finally:
        if state != "done":
            result.write_json(out, {**begun, "state": state})
    found = result.judged(stage, out, {**begun, "state": state}, reports)
    click.echo(json.dumps(found) if as_json else "\n".join(report.summary(found)))


class Progress:
    """A bar on a terminal, a line every tenth elsewhere: simulated time and events a second, on stderr."""

    def __init__(self, length_ms: int, label: str):
        from probe.base.clock import WallClock

        stderr = sys.stderr
        self._clock, self._length_ms, self._label = WallClock(), length_ms, label
        self._bar: Any = click.progressbar(length=length_ms, label=label, file=stderr, item_show_func=lambda text: text)
        self._begin_s, self._tenth, self._terminal = self._clock.now_s(), 0, stderr.isatty()

    def __enter__(self):
        if self._terminal:
            self._bar.__enter__()
        return self

    def __exit__(self, *error) -> None:
        if self._terminal:
            self._bar.__exit__(*error)

    def __call__(self, simulated_ms: int, events: int) -> None:
        """Show how far the run has come."""
        if not events:
            self._begin_s = self._clock.now_s()
        rate = events / max(self._clock.now_s() - self._begin_s, 0.1)
        words = f"{simulated_ms / 3_600_000:5.1f} h  {events:,} events  {rate:,.0f}/s"
        if self._terminal:
            self._bar.update(simulated_ms - self._bar.pos, words)
        elif (tenth := simulated_ms * 10 // self._length_ms) > self._tenth:
            self._tenth = tenth
            click.echo(f"{self._label}  {words}", err=True)


@click.command()
@click.argument("run_dir", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One object on stdout.")
def score(run_dir: Path, as_json: bool):
    """Print the errors of a run by level, each held against what it is named after."""
    from probe.base.config import ConfigError, read_text
    from simulator import report
    from simulator import score as judge

    found: dict[str, Any] = json.loads(read_text(run_dir / "run.json", "the run"))
    if found.get("state") != "done":
        raise ConfigError(str(run_dir), [f"the run is {found.get('state')}; only a finished one can be judged"])
    counts = judge.read(run_dir)
    levels = {level: judge.errors(counts, level, found["extrapolation"]) for level in ("slot", "hour", "day")}
    fixes = found["fix_error_m"]
    click.echo(json.dumps({"presence": levels, "fix_error_m": fixes}) if as_json else report.scores(levels, fixes))
