"""footfall bench: core time by stage, and how it grows."""

import json

import click

NAMES = ("pipeline", "growth")


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--small", is_flag=True, help="A minute's worth, to see that it works.")
@click.option("--json", "as_json", is_flag=True, help="One object a benchmark on stdout.")
def bench(names: tuple[str, ...], small: bool, as_json: bool):
    """Run benchmarks: pipeline (core ns an event by stage), growth (with handsets, with cells)."""
    from probe.base.config import ConfigError, did_you_mean

    unknown = [name for name in names if name not in NAMES]
    if unknown:
        hints = [
            f'no benchmark "{name}"{did_you_mean(name, NAMES)}; there is: {", ".join(NAMES)}'
            for name in unknown
        ]
        raise ConfigError("bench", hints)
    from simulator.bench import BENCHMARKS

    found = {name: BENCHMARKS[name](small) for name in names or NAMES}
    if as_json:
        click.echo(json.dumps(found))
        return
    for name, content in found.items():
        click.echo(name)
        for key, value in content.items():
            click.echo(f"  {key}: {json.dumps(value)}")
