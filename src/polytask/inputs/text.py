"""Free text: sentences, reports, reviews."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool
from sklearn.feature_extraction.text import HashingVectorizer
from torch import Tensor

from polytask.core import Column, Input, Ragged, arrow, opt

from . import _minilm, _recognise
from ._example import check_sizes


@dataclass(frozen=True, kw_only=True)
class Text(Input):
    """A text.

    `hash`: the column is `Ragged` of int64 ids below `buckets`: the different words and pairs of neighbouring words (and
    character 3-grams, where asked for), in lower case, each once, in rising order. The hash is MurmurHash3, the same
    everywhere. Ids carry no weights: an encoder that averages their vectors learns what a rare word is worth.
    `minilm`: the column is float32 `(rows, 384)`, unit vectors of the frozen all-MiniLM-L6-v2.

    An empty text (for `hash`: one without a word) is absent. Nothing is learnt from training rows.

    Errors: `MissingExtra` where `minilm` is not installed; `DataError` for cells that have no text, such as lists.
    """

    kind: ClassVar[str] = "text"
    rank: ClassVar[int] = 70
    size: ClassVar[int] = _minilm.SIZE

    encoder: Literal["hash", "minilm"] = opt(
        "hash", "how texts become numbers", ours="offline and quick; minilm needs polytask[text]", choices=("hash", "minilm")
    )
    buckets: int = opt(2**12, "different ids that n-grams are hashed to", ours="measured: more learn rows by heart", ge=1)
    characters: bool = opt(False, "hash character 3-grams too", ours="for misspelt or unsegmented texts")

    @classmethod
    def recognises(cls, name: str, column: pa.ChunkedArray) -> bool:
        """Strings with blanks in most cells and many different values."""
        return _recognise.is_prose(arrow.plain(column))

    def fit(self, column: pa.ChunkedArray) -> "Text":
        arrow.texts(self.name, arrow.plain(column))  # for its errors
        return self

    def encode(self, column: pa.ChunkedArray) -> tuple[Column, Bool[Tensor, "rows"]]:
        cells = arrow.texts(self.name, arrow.plain(column))
        if self.encoder == "minilm":
            return _minilm.embed(cells), torch.from_numpy(arrow.valid(cells))
        ids = self._hash(cells.fill_null("").to_pylist())
        return ids, ids.lengths > 0

    def _hash(self, texts: list[str]) -> Ragged:
        grams = [("word", (1, 2))] + [("char_wb", (3, 3))] * self.characters
        counts = sum(
            HashingVectorizer(
                analyzer=analyzer, ngram_range=span, n_features=self.buckets, alternate_sign=False, norm=None,
                token_pattern=r"(?u)\b\w+\b", dtype=np.float32,
            ).transform(texts)
            for analyzer, span in grams
        )  # fmt: skip
        counts.sort_indices()
        return Ragged(torch.from_numpy(counts.indices.astype(np.int64)), torch.from_numpy(counts.indptr.astype(np.int64)))

    @classmethod
    def example(cls, name: str, sizes: tuple[int, ...]) -> "Text":
        check_sizes(name, sizes, len(sizes) == 1, "text 100")
        return replace(cls(name=name), buckets=sizes[0])

    def example_column(self, rows: int, generator: torch.Generator) -> Column:
        if self.encoder == "minilm":
            return torch.nn.functional.normalize(torch.randn(rows, self.size, generator=generator), dim=1)
        lengths = torch.randint(1, 12, (rows,), generator=generator)
        values = torch.randint(0, self.buckets, (int(lengths.sum()),), generator=generator)
        return Ragged(values, torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)]))
