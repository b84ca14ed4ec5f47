"""Named counters: nothing is dropped in silence."""

from collections import Counter


class Tally(Counter):
    """Counts by name; adding two adds name by name."""

    def count(self, name: str, amount: int = 1) -> None:
        """Add amount to name."""
        if amount:
            self[name] += int(amount)
