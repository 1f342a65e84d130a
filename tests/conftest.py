"""What holds for the whole suite."""

from hypothesis import settings

pytest_plugins = ["schedulers", "mpi_libraries", "dragon_runtimes", "sampler_threads"]

# A property that takes long on a busy machine is not wrong: no test asserts a wall time.
settings.register_profile("default", deadline=None)
settings.load_profile("default")
