"""What every room may use: compiler flags, configuration, plugins, clock, streams, geometry, counters."""
