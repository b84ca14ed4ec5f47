"""What crosses a border between two rooms: formats, versions and their checks."""
