"""Samples of a list of datasets, for Keras."""

from __future__ import annotations

from typing import Any

import keras

from smartsim.app.training_samples import DataDownloader, to_categorical


class _Generator(DataDownloader, keras.utils.PyDataset):  # type: ignore[misc]
    """Batches as Keras asks for them."""

    def __init__(self, **kwargs: Any) -> None:
        keras.utils.PyDataset.__init__(self)
        DataDownloader.__init__(self, **kwargs)

    def __getitem__(self, index: int) -> Any:
        """Return one batch: samples and targets, or samples alone where there are none.

        Args:
            index: of the batch, counted from 0.
        """
        batch = self.batch(index)
        if isinstance(batch, tuple) and self.num_classes and self.need_targets:
            samples, targets = batch
            return samples, to_categorical(targets, self.num_classes)
        return batch

    def on_epoch_end(self) -> None:
        """Take what came to the list meanwhile, if dynamic, and shuffle the samples, if asked to."""
        self.update_data()


class StaticDataGenerator(_Generator):
    """The samples that are there when it is made; arguments are those of `smartsim.ml.DataDownloader`, by name.

    Example:
        ::

            generator = StaticDataGenerator(data_info_or_list_name="flow", batch_size=16, cluster=False)
            model.fit(generator, epochs=10)
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dynamic": False})


class DynamicDataGenerator(_Generator):
    """Those, and after each epoch also the samples that came meanwhile; otherwise as `StaticDataGenerator`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dynamic": True})
