"""What holds for the whole suite."""

from hypothesis import settings

# A property that takes long on a busy machine is not wrong: no test asserts a wall time.
settings.register_profile("default", deadline=None)
settings.load_profile("default")
