"""What a person sees of an experiment: pure functions of what its record tells, one module a view.

All of them return frozen dataclasses of JSON values (`dataclasses.asdict`); times are seconds since the epoch.
"""
