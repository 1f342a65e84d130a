"""Models and scripts of entities, on their way into databases."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from smartsim.app.logs import get_logger
from smartsim.app.serialization import serializer_of
from smartsim.domain.client_config import ClientConfig, RetryPolicy
from smartsim.domain.errors import SmartSimError, SSUnsupportedError
from smartsim.domain.ml_objects import DBModel, DBObject, DBScript, Upload

if TYPE_CHECKING:
    from smartsim.app.client.calls import Call
    from smartsim.app.service import Service
    from smartsim.domain.addresses import Address
    from smartsim.domain.client_environment import Endpoint
    from smartsim.domain.model import Model
    from smartsim.ports.connect import Connect
    from smartsim.ports.database_server import Credentials
    from smartsim.ports.file_system import FileReader, FileSystem
    from smartsim.ports.tensor_store import TensorStore

_PATIENCE: Final = RetryPolicy(timeout=10.0, interval=0.1)  # with a database that does not answer
_LONGEST_SILENCE: Final = 60.0  # seconds in which nothing moves; while a worker looks at a model, the client adds to it


def connect(addresses: Sequence[Address], credentials: Credentials) -> AbstractContextManager[TensorStore]:
    """Return the contents of a database; see `Connect`."""
    from smartsim.adapters.tensors.resp import RespTensorStore

    config = ClientConfig(_PATIENCE, _PATIENCE, _LONGEST_SILENCE, credentials.username, credentials.password)
    return closing(RespTensorStore(addresses, config, cluster=len(addresses) > 1))


class MLObjects:
    """The models and scripts that the entities of one start bring along: each is read and serialized once.

    Args:
        files: has those that are in files.
    """

    def __init__(self, files: FileReader) -> None:
        self._files = files
        self._known: dict[str, list[tuple[DBObject, Upload]]] = {}  # by name

    def of(self, models: Iterable[Model]) -> list[Upload]:
        """Return what one database is to have for some models and members, each once.

        Raises:
            SmartSimError: something cannot be read or serialized.
            SSUnsupportedError: two that are different have the same name.
        """
        found: dict[str, Upload] = {}
        for model in models:
            for db_object in (*model.db_models, *model.db_scripts):
                upload = self._upload(db_object, model.name)
                present = found.setdefault(upload.name, upload)
                if present != upload:
                    raise SSUnsupportedError(
                        f"{upload.owner} has a {upload.kind} {upload.name!r} and {present.owner} another "
                        f"{present.kind} of that name, for the same database: choose another name for one of them"
                    )
        return list(found.values())

    def _upload(self, db_object: DBObject, owner: str) -> Upload:
        known = self._known.setdefault(db_object.name, [])
        for other, upload in known:
            if db_object.is_same(other):
                return replace(upload, owner=owner)
        try:
            upload = self._read(db_object, owner)
        except (ModuleNotFoundError, OSError, TypeError, ValueError) as error:
            kind = "model" if isinstance(db_object, DBModel) else "script"
            raise SmartSimError(f"The {kind} {db_object.name!r} of {owner} cannot be stored: {error}") from error
        known.append((db_object, upload))
        return upload

    def _read(self, db_object: DBObject, owner: str) -> Upload:
        if db_object.is_file:
            return db_object.upload(self._files.read(str(db_object.file_path)), owner)
        if isinstance(db_object, DBScript):
            return db_object.upload(_source(db_object), owner)
        if isinstance(db_object.func, bytes | bytearray | memoryview):
            return db_object.upload(bytes(db_object.func), owner)
        return _serialized(db_object, owner)


def _source(script: DBScript) -> bytes:
    if isinstance(script.script, str):
        return script.script.encode()
    from smartsim.adapters.ml.torch_serializer import function_source

    assert script.script is not None  # noqa: S101 - it is in memory
    return function_source(script.script).encode()


def _serialized(model: DBObject, owner: str) -> Upload:
    """Return a model that is in memory as its framework has it."""
    options = model.options or {}
    result = serializer_of(options["backend"]).serialize(model.func)
    upload = model.upload(result.blob, owner)
    if result.backend != "TF":
        return upload
    # The database asks for the names of these nodes; who has a model in memory need not know them.
    inputs, outputs = options["inputs"] or list(result.inputs), options["outputs"] or list(result.outputs)
    return replace(upload, options={**options, "inputs": inputs, "outputs": outputs})


def upload_to(endpoint: Endpoint, service: Service, uploads: Iterable[Upload], connect: Connect) -> None:
    """Put models and scripts into a database that runs, unless an earlier start did and they are there still.

    Args:
        endpoint: where it is.
        service: the same database; remembers what was put there.
        uploads: what it is to have.
        connect: connects to it.

    Raises:
        SmartSimError: it refuses one, or does not answer in time.
    """
    from smartsim.app.client.calls import carry_out
    from smartsim.app.client.models import model_exists

    with connect(endpoint.addresses, service.credentials) as store:
        for upload in uploads:
            digest = upload.digest
            if service.stored.get(upload.name) == digest and carry_out(model_exists(upload.name), store):
                continue
            put(store, upload, f"the database {endpoint.identifier!r}")
            service.stored[upload.name] = digest
            get_logger(__name__).debug(f"The database {endpoint.identifier} has the {upload.kind} {upload.name}")


def put(store: TensorStore, upload: Upload, where: str) -> None:
    """Put a model or script into a database; it comes back when a worker has looked at it.

    Args:
        store: what the database holds.
        upload: the model or script.
        where: what the database is called in messages.

    Raises:
        SmartSimError: the database refuses it, with the words of the framework, or does not answer in time.
    """
    from smartsim.app.client.calls import carry_out

    try:
        carry_out(_call(upload), store)
    except (SmartSimError, TypeError, ValueError) as error:
        raise SmartSimError(
            f"The {upload.kind} {upload.name!r} of {upload.owner} cannot be stored in {where}: {error}"
        ) from error


def _call(upload: Upload) -> Call[None]:
    from smartsim.app.client import models, scripts

    name, content = upload.name, upload.content
    if upload.options is None:
        if upload.gpus > 1:
            return scripts.set_script_multigpu(name, content, upload.first_gpu, upload.gpus)
        return scripts.set_script(name, content, upload.device)
    options = models.model_options(**upload.options)
    if upload.gpus > 1:
        return models.set_model_multigpu(name, content, options, upload.first_gpu, upload.gpus)
    return models.set_model(name, content, options, upload.device)


# For databases that are started elsewhere: what they are to have, in files and in JSON


def describe(uploads: Iterable[Upload], directory: str, files: FileSystem) -> list[dict[str, Any]]:
    """Return what `read` makes models and scripts of, elsewhere; those that are in memory are written to files.

    Args:
        uploads: the models and scripts.
        directory: for the files, which are named by their content; made if needed, for its owner only.
        files: where they are written.

    Returns:
        Values for JSON.
    """
    described = []
    for upload in uploads:
        file = upload.file
        if file is None:
            file = posixpath.join(directory, upload.digest)
            files.make_directory(directory, 0o700)
            if files.inspect(file) is None:
                files.write(file, upload.content, 0o600)
        described.append({**vars(upload), "content": None, "file": file})
    return described


def read(described: Iterable[Mapping[str, Any]], files: FileReader) -> list[Upload]:
    """Return the models and scripts that `describe` described.

    Raises:
        OSError: a file of theirs cannot be read.
    """
    return [Upload(**{**each, "content": files.read(each["file"])}) for each in described]
