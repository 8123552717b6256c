"""The encoder of a row: every input, whatever its kind, becomes part of one vector."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from polytask.core import Batch, Input, OptionError, Ragged, opt
from polytask.core.links import Links
from polytask.core.registry import readers

from .convolution import SmallCNN
from .numbers import Missing, Periodic, PiecewiseLinear, Scaled
from .temporal import SeriesVector


@dataclass(frozen=True)
class EncoderOptions:
    """Options of every system that encodes rows with `Encoder`."""

    embedding: Literal["piecewise", "periodic", "none"] = opt(
        "piecewise", "embedding of numbers", ours="measured: docs/defaults.md", choices=("piecewise", "periodic", "none")
    )
    embedding_width: int = opt(8, "width of the embedding of each number and category", ours="measured: docs/defaults.md", ge=1)
    absent: Literal["learned", "zero"] = opt(
        "learned", "what stands for an absent value", ours="being absent often tells", choices=("learned", "zero")
    )
    text_width: int = opt(16, "width of the vector of each text", ours="measured: wider ones learn rows by heart", ge=1)
    text_dropout: float = opt(0.5, "dropout of the vector of each text", ours="measured: likewise", ge=0, lt=1)
    rich_width: int = opt(64, "width of the vector of each image, audio, list or date", ours="small data", ge=1)


class Numbers(nn.Module):
    """Numbers and booleans, embedded and flattened: `(batch, numbers * width)`. Booleans stay one number each."""

    def __init__(self, inputs: Mapping[str, Any], options: EncoderOptions) -> None:
        super().__init__()
        self.names = tuple(inputs)
        self.embed: PiecewiseLinear | Periodic | Scaled
        width = options.embedding_width
        if options.embedding == "piecewise":
            self.embed = PiecewiseLinear([item.edges for item in inputs.values()], width)
        elif options.embedding == "periodic":
            self.embed = Periodic(len(inputs), width)
        else:
            self.embed, width = Scaled(), 1
        self.missing = Missing(len(inputs), width, options.absent)
        self.width = width * len(inputs)

    def forward(self, batch: Batch) -> Float[Tensor, "batch width"]:
        embedded = self.embed(batch.inputs.stack(self.names))
        filled: Tensor = self.missing(embedded, batch.present.stack(self.names))
        return filled.flatten(1)


class Flags(nn.Module):
    """Booleans as -1 and 1, absent as 0 with a learnt vector: `(batch, booleans)`."""

    def __init__(self, inputs: Mapping[str, Any], absent: str) -> None:
        super().__init__()
        self.names = tuple(inputs)
        self.missing = Missing(len(inputs), 1, absent)
        self.width = len(inputs)

    def forward(self, batch: Batch) -> Float[Tensor, "batch width"]:
        signs = batch.inputs.stack(self.names)[:, :, None] * 2 - 1
        filled: Tensor = self.missing(signs, batch.present.stack(self.names))
        return filled.flatten(1)


class Categories(nn.Module):
    """Categories as vectors of one table, each column with rows of its own (0: unseen, last: missing): `(batch, n * width)`."""

    def __init__(self, inputs: Mapping[str, Any], width: int) -> None:
        super().__init__()
        self.names = tuple(inputs)
        sizes = torch.tensor([len(item.values) + 2 for item in inputs.values()])
        self.register_buffer("first", torch.cumsum(sizes, 0) - sizes)
        self.register_buffer("absent", torch.cumsum(sizes, 0) - 1)
        self.table = nn.Parameter(torch.randn(int(sizes.sum()), width) / width**0.5)
        self.width = width * len(inputs)

    first: Tensor
    absent: Tensor

    def forward(self, batch: Batch) -> Float[Tensor, "batch width"]:
        present = batch.present.stack(self.names)
        index = torch.where(present, batch.inputs.stack(self.names) + self.first, self.absent)
        return F.embedding(index, self.table).flatten(1)


class Bag(nn.Module):
    """The mean of the vectors of a text's hashed n-grams: `Ragged` ids -> `(batch, width)`."""

    def __init__(self, buckets: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(buckets, width) * 0.1)

    def forward(self, ids: Ragged) -> Float[Tensor, "batch width"]:
        return F.embedding_bag(ids.values, self.table, ids.offsets[:-1], mode="mean")


class One(nn.Module):
    """One input of a rich kind through its own module; a learnt vector where it is absent: `(batch, width)`."""

    def __init__(self, name: str, module: nn.Module, width: int, absent: str) -> None:
        super().__init__()
        self.name, self.module, self.width = name, module, width
        self.missing = Missing(1, width, absent)

    def forward(self, batch: Batch) -> Float[Tensor, "batch width"]:
        encoded = self.module(batch.inputs[self.name])
        filled: Tensor = self.missing(encoded[:, None], batch.present.stack((self.name,)))
        return filled[:, 0]


class Degree(nn.Module):
    """How many links a row has, for systems that do not follow them: `Links` -> `(batch, width)`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(1, width)

    def forward(self, links: Links) -> Float[Tensor, "batch width"]:
        y: Tensor = self.linear(links.degree().log1p()[:, None])
        return y


class Encoder(nn.Module):
    """The inputs of a row side by side in one vector: `Batch -> (batch, width)`."""

    def __init__(self, inputs: Mapping[str, Input], options: EncoderOptions) -> None:
        super().__init__()
        groups: dict[str, dict[str, Input]] = {}
        for name, item in inputs.items():
            groups.setdefault(item.kind, {})[name] = item
        self.parts = nn.ModuleList(
            part for kind, group in groups.items() for part in _parts(kind, group, options)
        )  # fmt: skip
        self.width: int = sum(part.width for part in self.parts)  # type: ignore[misc]

    def forward(self, batch: Batch) -> Float[Tensor, "batch width"]:
        return torch.cat([part(batch) for part in self.parts], dim=1)


def _parts(kind: str, inputs: Mapping[str, Any], options: EncoderOptions) -> list[nn.Module]:
    """The modules of all inputs of one kind; a user's kind of input needs a line here."""
    if kind == "number":
        return [Numbers(inputs, options)]
    if kind == "boolean":
        return [Flags(inputs, options.absent)]
    if kind == "category":
        return [Categories(inputs, options.embedding_width)]
    width = options.text_width if kind == "text" else options.rich_width
    return [One(name, _rich(item, width, options), width, options.absent) for name, item in inputs.items()]


def _rich(item: Any, width: int, options: EncoderOptions) -> nn.Module:
    match item.kind:
        case "text":
            vector = Bag(item.buckets, width) if item.encoder == "hash" else nn.Linear(item.size, width)
            return nn.Sequential(vector, nn.Dropout(options.text_dropout))
        case "datetime" | "vector":
            return nn.Linear(item.size, width)
        case "image" | "audio" | "pixels":
            return SmallCNN(item.channels, width)
        case "series":
            return SeriesVector(item.variables, width)
        case "links":
            return Degree(width)
    able = ", ".join(readers(item.kind)) or "none of polytask's"
    problem = f"is of kind '{item.kind}', which this system cannot read"
    raise OptionError.of(f"input '{item.name}'", problem, f"These can: {able}")
