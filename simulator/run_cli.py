"""footfall run and footfall score."""

import json
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("scenario", default="city")
@click.option(
    "--set", "sets", multiple=True, metavar="KEY=VALUE", help="Change a setting, e.g. world.step_s=60."
)
@click.option("--handsets", type=int, help="How many handsets of our network.")
@click.option("--hours", type=float, help="The first hours of the scenario only.")
@click.option("--days", type=float, help="How many days.")
@click.option("--seed", type=int, help="Another seed, another world.")
@click.option(
    "--shards", type=int, default=1, show_default=True, help="World and edge processes; divides 64."
)
@click.option("--speed", type=float, default=0.0, help="Simulated seconds a second; 0 = as fast as possible.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("run"), show_default=True)
@click.option("--force", is_flag=True, help="Replace an earlier run in --out.")
@click.option("--address", default="tcp://127.0.0.1:*", show_default=True, help="Where the store listens.")
@click.option("--json", "as_json", is_flag=True, help="One object on stdout.")
def run(scenario, sets, handsets, hours, days, seed, shards, speed, out, force, address, as_json):
    """Simulate SCENARIO (a shipped name or a TOML file), count it at the edge, store it, judge it."""
    from probe.base.config import ConfigError
    from probe.base.process import loopback
    from simulator import result
    from simulator import scenario as scenarios
    from simulator.deployment import Deployment, checked, fresh

    given = {"world.handsets": handsets, "world.seed": seed}
    given["world.hours"] = hours if days is None else days * 24
    sets = [*sets, *(f"{key}={value}" for key, value in given.items() if value is not None)]
    problems = []
    if shards < 1 or 64 % shards:
        problems.append(f"--shards {shards}: does not divide 64; use 1, 2, 4, 8, 16, 32 or 64")
    if hours is not None and days is not None:
        problems.append("--hours and --days: give one of them")
    if speed < 0:
        problems.append(f"--speed {speed}: is negative; use 0 for as fast as possible")
    if problems:
        raise ConfigError("usage", problems)
    stage = checked(scenarios.load(scenario, sets))
    click.echo(layout_in_words(stage.layout[1]), err=True)
    begun = result.begun(stage, out)
    loopback(address)
    result.write_json(fresh(out, force), begun)
    deployment = Deployment(stage, out, shards, address, speed)
    state = "failed"
    try:
        with Progress(deployment.end_ms - deployment.start_ms, scenario) as progress:
            reports = deployment.run(progress)
        state = "done"
    except KeyboardInterrupt:
        state = "interrupted"
        raise
    finally:
        if state != "done":
            result.write_json(out, {**begun, "state": state})
    found = judged(stage, out, reports)
    click.echo(json.dumps(found) if as_json else "\n".join(summary_of(found)))


def layout_in_words(made) -> str:
    """Return one line: what the layout is, what was filled in and left out."""
    words = f"layout: {made.cells:,} cells on {made.sites:,} sites"
    if made.dropped:
        words += f", {len(made.dropped)} rows dropped"
    if made.unasked:
        words += f", columns left alone: {', '.join(made.unasked)}"
    return words + f"; imputed: {', '.join(made.imputed) or 'nothing'}"


class Progress:
    """A bar on a terminal, a line every tenth elsewhere: simulated time and events a second, on stderr."""

    def __init__(self, length_ms: int, label: str):
        from probe.base.clock import WallClock

        self._clock, self._length_ms, self._label = WallClock(), length_ms, label
        self._bar = click.progressbar(length=length_ms, label=label, file=click.get_text_stream("stderr"),
                                      show_percent=True, item_show_func=lambda text: text)  # fmt: skip
        self._began_s, self._tenth = self._clock.now_s(), 0
        self._terminal = click.get_text_stream("stderr").isatty()

    def __enter__(self):
        if self._terminal:
            self._bar.__enter__()
        return self

    def __exit__(self, *error) -> None:
        if self._terminal:
            self._bar.__exit__(*error)

    def __call__(self, simulated_ms: int, events: int) -> None:
        """Show how far the run has come."""
        if simulated_ms <= 0:
            self._began_s = self._clock.now_s()
        rate = events / max(self._clock.now_s() - self._began_s, 0.1)
        words = f"{simulated_ms / 3_600_000:5.1f} h  {events:,} events  {rate:,.0f}/s"
        if self._terminal:
            self._bar.update(simulated_ms - self._bar.pos, words)
        elif simulated_ms * 10 // self._length_ms > self._tenth:
            self._tenth = simulated_ms * 10 // self._length_ms
            click.echo(f"{self._label}  {words}", err=True)


def judged(stage, out: Path, reports: dict[str, Any]) -> dict[str, Any]:
    """Write truth.db, run.json and map.html; return what run.json says."""
    from simulator import report, result, score

    truth_digest = result.write_truth(stage, out, reports["worlds"])
    found = result.of_run(stage, out, reports, truth_digest)
    result.write_json(out, found)  # the run stands, whatever the judge says
    counts = score.read(out)
    found["fix_error_m"] = score.FixErrors(stage).measure()
    hour = score.errors(counts, "hour", found["extrapolation"])
    names = ("noise_median", "place_median", "total_median", "published_share")
    found["presence_error"] = {name: hour[name] for name in names}
    result.write_json(out, found)
    page = report.map_html(result.map_data(out, counts, found))
    (out / "map.html").write_text(page, encoding="utf-8")
    return found


def summary_of(found: dict[str, Any]) -> list[str]:
    from simulator import report

    return report.summary(found)


@click.command()
@click.argument("run_dir", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One object on stdout.")
def score(run_dir: Path, as_json: bool):
    """Print the errors of a run by level, each held against what it is named after."""
    from probe.base.config import ConfigError, read_text
    from simulator import score as judge

    where = run_dir / "run.json"
    found = json.loads(read_text(where, "the run"))
    if found.get("state") != "done":
        raise ConfigError(
            str(run_dir), [f"the run is {found.get('state')}; only a finished one can be judged"]
        )
    counts = judge.read(run_dir)
    levels = {level: judge.errors(counts, level, found["extrapolation"]) for level in ("slot", "hour", "day")}
    if as_json:
        click.echo(json.dumps({"presence": levels, "fix_error_m": found.get("fix_error_m")}))
        return
    click.echo("presence, relative error by area and period, over what is published and not warming up")
    click.echo("noise: release - tally before noise; place: tally - truth of the people counted;")
    click.echo("total: published and extrapolated - truth of everyone")
    click.echo(f"{'level':6}{'':9}{'median':>9}{'p95':>9}")
    for level, row in levels.items():
        for error in judge.ERRORS:
            middle, high = (as_percent(row[f"{error}_{rank}"]) for rank in ("median", "p95"))
            click.echo(f"{level:6}{error:9}{middle:>9}{high:>9}")
        click.echo(f"{level:6}{'published':9}{as_percent(row['published_share']):>9} of person-time")


def as_percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
