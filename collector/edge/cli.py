"""Commands of the edge: none yet that work on their own."""

COMMANDS: dict[str, tuple[str, str, str]] = {}
