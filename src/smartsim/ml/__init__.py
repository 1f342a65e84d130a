"""Machine learning with the database: samples for training.

Models as the database takes them are made in `smartsim.ml.tf`, `smartsim.ml.torch` and `smartsim.ml.onnx`.
"""

from __future__ import annotations

from smartsim.app.training_data import DataInfo, TrainingDataUploader, form_name
from smartsim.app.training_samples import DataDownloader

__all__ = ["DataDownloader", "DataInfo", "TrainingDataUploader", "form_name"]
