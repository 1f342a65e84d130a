"""Scripts: functions in TorchScript."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smartsim.app.client import programs, scripts
from smartsim.app.client.calls import Call
from smartsim.app.client.interface.models import ProgramInterface
from smartsim.domain.client_errors import check_type

_Names = str | list[str]


class ScriptInterface(ProgramInterface):
    """Calls about scripts."""

    def set_function(self, name: str, function: Callable[..., Any], device: str = "CPU") -> Call[None]:
        """Store a Python function as a script.

        Args:
            name: under which it is run.
            function: in what TorchScript understands of Python; its source must be in a file.
            device: CPU, GPU or GPU:n.

        Raises:
            TypeError: it is no function, or there is no such device.
            OSError: its source cannot be found.
            RedisRuntimeError: TorchScript refuses it.

        Example:
            >>> def double(x):
            ...     return 2 * x
            >>> client.set_function("double", double)  # doctest: +SKIP
            >>> client.run_script("double", "double", ["x"], ["y"])  # doctest: +SKIP
        """
        return self.set_script(name, scripts.function_source(function), device)

    def set_function_multigpu(
        self, name: str, function: Callable[..., Any], first_gpu: int, num_gpus: int
    ) -> Call[None]:
        """Store a Python function for several GPUs, to be run with `run_script_multigpu`."""
        return self.set_script_multigpu(name, scripts.function_source(function), first_gpu, num_gpus)

    def set_script(self, name: str, script: str, device: str = "CPU") -> Call[None]:
        """Store a script: the source of functions in TorchScript.

        Raises:
            TypeError: an argument is of another type, or there is no such device.
            RedisRuntimeError: TorchScript refuses it.
        """
        check_type(script, "script", str)
        return scripts.set_script(self._program_to_write(name), script, device)

    def set_script_multigpu(self, name: str, script: str, first_gpu: int, num_gpus: int) -> Call[None]:
        """Store a script for several GPUs, to be run with `run_script_multigpu`."""
        check_type(script, "script", str)
        return scripts.set_script_multigpu(self._program_to_write(name), script, first_gpu, num_gpus)

    def set_script_from_file(self, name: str, file: str, device: str = "CPU") -> Call[None]:
        """Store the script in a file; otherwise as `set_script`.

        Raises:
            FileNotFoundError: there is no such file.
        """
        return scripts.set_script(self._program_to_write(name), programs.read_file(file, "file"), device)

    def set_script_from_file_multigpu(self, name: str, file: str, first_gpu: int, num_gpus: int) -> Call[None]:
        """Store the script in a file for several GPUs; otherwise as `set_script_multigpu`.

        Raises:
            FileNotFoundError: there is no such file.
        """
        script = programs.read_file(file, "file")
        return scripts.set_script_multigpu(self._program_to_write(name), script, first_gpu, num_gpus)

    def get_script(self, name: str) -> Call[str]:
        """Return the source of a script.

        Raises:
            RedisRuntimeError: there is none.
        """
        return scripts.get_script(self._program_to_read(name))

    def run_script(self, name: str, fn_name: str, inputs: _Names, outputs: _Names) -> Call[None]:
        """Run a function of a script on tensors of the database; what it returns becomes tensors of the database.

        Args:
            name: of the script.
            fn_name: of the function.
            inputs: names of the tensors that it gets; a parameter ``List[Tensor]`` gets all that remain.
            outputs: names of the tensors that it returns.

        Raises:
            RedisRuntimeError: there is no such script, function or tensor, or the run failed.
        """
        return scripts.run_script(
            self._program_to_read(name), fn_name, self._inputs(inputs), self._outputs(outputs), self._model_timeout()
        )

    def run_script_multigpu(
        self, name: str, fn_name: str, inputs: _Names, outputs: _Names, offset: int, first_gpu: int, num_gpus: int
    ) -> Call[None]:
        """Run a function of a script on one of several GPUs; otherwise as `run_script`.

        Args:
            name: of the script, as `set_script_multigpu` stored it.
            fn_name: of the function.
            inputs: as for `run_script`.
            outputs: as for `run_script`.
            offset: which GPU: ``first_gpu + offset % num_gpus``. The rank of a process will do.
            first_gpu: as when it was stored.
            num_gpus: as when it was stored.
        """
        return scripts.run_script_multigpu(
            self._program_to_read(name),
            fn_name,
            self._inputs(inputs),
            self._outputs(outputs),
            offset,
            first_gpu,
            num_gpus,
            self._model_timeout(),
        )

    def delete_script(self, name: str) -> Call[None]:
        """Remove a script.

        Raises:
            RedisRuntimeError: there is none.
        """
        return scripts.delete_script(self._program_to_read(name))

    def delete_script_multigpu(self, name: str, first_gpu: int, num_gpus: int) -> Call[None]:
        """Remove a script that `set_script_multigpu` stored.

        Raises:
            RedisRuntimeError: there is none.
        """
        return scripts.delete_script_multigpu(self._program_to_read(name), first_gpu, num_gpus)
