"""What users of a client call: names to keys, and the documentation.

Each method returns a call that is not carried out yet; `Client`, `AsyncClient` and `Pipeline` carry it out in their
ways.
"""

from smartsim.app.client.interface.administration import AdministrationInterface
from smartsim.app.client.interface.datasets import DatasetInterface
from smartsim.app.client.interface.lists import ListInterface
from smartsim.app.client.interface.models import ModelInterface
from smartsim.app.client.interface.scripts import ScriptInterface
from smartsim.app.client.interface.tensors import TensorInterface


class Interface(
    TensorInterface, DatasetInterface, ListInterface, ModelInterface, ScriptInterface, AdministrationInterface
):
    """All calls of a client."""
