"""Every input as plain columns of numbers, for rivals that take a matrix."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import csr_matrix
from sklearn.decomposition import TruncatedSVD
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from polytask.core import Batch, Input, Ragged
from polytask.core.links import Links
from polytask.nn.temporal import summary

PLACES = 8
"""Images and spectrograms are averaged to this many places a side."""
TOPICS = 32
"""Texts become this many latent directions of their n-grams (latent semantic analysis)."""


class Features(nn.Module):
    """`Batch -> (rows, columns)` in float32, NaN where an input is absent: categories first, as codes from 0."""

    def __init__(self, inputs: Mapping[str, Input]) -> None:
        super().__init__()
        self.inputs: dict[str, Any] = dict(inputs)
        self.categories = tuple(name for name, item in inputs.items() if item.kind == "category")
        self.numbers = tuple(name for name, item in inputs.items() if item.kind in ("number", "boolean"))
        self.rich = tuple(name for name in inputs if name not in self.categories + self.numbers)
        for number, name in enumerate(self.rich):
            if self._is_bag(name):
                self.register_buffer(f"topics_{number}", torch.zeros(self.inputs[name].buckets, TOPICS))

    def _is_bag(self, name: str) -> bool:
        item = self.inputs[name]
        return bool(item.kind == "text" and item.encoder == "hash")

    def fit(self, train: Batch, seed: int) -> None:
        """Learn the latent directions of texts from training rows."""
        for number, name in enumerate(self.rich):
            if self._is_bag(name):
                ids = train.inputs[name]
                assert isinstance(ids, Ragged)
                counts = _counts(ids, self.inputs[name].buckets)
                topics = (
                    TruncatedSVD(min(TOPICS, counts.shape[1] - 1, len(train) - 1), random_state=seed).fit(counts).components_
                )
                getattr(self, f"topics_{number}")[:, : len(topics)] = torch.from_numpy(topics.T)

    def forward(self, batch: Batch) -> Float[Tensor, "rows columns"]:
        parts = [part for names in (self.categories, self.numbers) if names for part in [self._plain(batch, names)]]
        for number, name in enumerate(self.rich):
            column, present = batch.inputs[name], batch.present.tensor(name)
            if isinstance(column, Links):
                values = column.degree().log1p()[:, None]
            elif isinstance(column, Ragged) and self.inputs[name].kind == "series":
                values = summary(column, self.inputs[name].variables)
            elif isinstance(column, Ragged):
                table = getattr(self, f"topics_{number}")
                values = F.embedding_bag(column.values, table, column.offsets[:-1], mode="mean")
            else:
                assert isinstance(column, Tensor)
                values = F.adaptive_avg_pool2d(column.float(), PLACES).flatten(1) if column.dim() == 4 else column.float()
            parts.append(torch.where(present[:, None], values, torch.nan))
        return torch.cat(parts, dim=1)

    def _plain(self, batch: Batch, names: tuple[str, ...]) -> Float[Tensor, "rows columns"]:
        return torch.where(batch.present.stack(names), batch.inputs.stack(names).float(), torch.nan)


def _counts(ids: Ragged, buckets: int) -> Any:
    """The share of each n-gram in each text, as a sparse matrix."""
    lengths = ids.lengths.clamp(min=1).numpy()
    weights = np.repeat(1 / lengths, ids.lengths.numpy())
    return csr_matrix((weights, ids.values.numpy(), ids.offsets.numpy()), shape=(len(ids), buckets))
