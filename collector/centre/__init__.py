"""The central store: keeps sealed counts, knows what is missing, answers."""
