"""footfall bench: core time by stage, and how it grows."""

import json

import click

NAMES = ("pipeline", "growth")


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--small", is_flag=True, help="A minute's worth, to see that it works.")
@click.option("--json", "as_json", is_flag=True, help="One object on stdout.")
def bench(names: tuple[str, ...], small: bool, as_json: bool):
    """Run benchmarks: pipeline (core ns an event by stage), growth (with handsets, with cells)."""
    from probe.base.config import ConfigError, did_you_mean

    if unknown := [name for name in names if name not in NAMES]:
        there = ", ".join(NAMES)
        problems = [f'no benchmark "{name}"{did_you_mean(name, NAMES)}; there is: {there}' for name in unknown]
        raise ConfigError("bench", problems)
    from simulator.bench import BENCHMARKS

    found = {name: BENCHMARKS[name](small) for name in names or NAMES}
    for name, one in () if as_json else found.items():
        click.echo("\n".join([name, *(f"  {key}: {json.dumps(value)}" for key, value in one.items())]))
    if as_json:
        click.echo(json.dumps(found))
