"""The command line: the only place that composes `bot` and `training`."""
