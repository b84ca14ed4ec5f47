"""The simulator's commands, by name; nothing heavy is imported before one is used."""

COMMANDS = {
    "run": ("simulator.run_cli", "run", "The whole: world, edge, store, then the score."),
    "score": ("simulator.run_cli", "score", "Truth beside estimate: noise, place and total error."),
    "scenario": ("simulator.scenario_cli", "command", "Scenarios: list, show, check."),
    "layout": ("simulator.layout_cli", "command", "Tower layouts: list, check."),
    "bench": ("simulator.bench_cli", "bench", "Benchmarks: pipeline, growth."),
}
