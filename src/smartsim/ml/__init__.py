"""Machine learning with the database: samples for training.

Models as the database takes them are made in `smartsim.ml.tf`, `smartsim.ml.torch` and `smartsim.ml.onnx`.
"""

from __future__ import annotations

from smartsim.app.training_data import DataDownloader, DataInfo, TrainingDataUploader, form_name

__all__ = ["DataDownloader", "DataInfo", "TrainingDataUploader", "form_name"]
