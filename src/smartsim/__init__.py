"""Launch simulations and ensembles on any workload manager, with an in-memory tensor database beside them.

Example:
    >>> from smartsim import Experiment
    >>> with Experiment("hello", launcher="local") as exp:
    ...     model = exp.create_model("greeting", exp.create_run_settings("echo", "Hello World"))
    ...     exp.start(model, block=True)
    ...     print(exp.summary())
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smartsim.app.experiment import Experiment

__all__ = ["Experiment", "__version__"]

# Scripts reach these as attributes of the package, without importing them by name.
_SUBPACKAGES = {"client", "database", "entity", "error", "log", "ml", "servertype", "settings", "status", "wlm"}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for (PEP 562): `import smartsim` itself costs next to nothing."""
    if name == "Experiment":
        from smartsim.app.experiment import Experiment

        return Experiment
    if name == "__version__":
        from importlib.metadata import version

        return version("smartsim-next")
    if name in _SUBPACKAGES:
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
