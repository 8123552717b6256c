"""What the systems of tables have in common: the way in (`Stem`) and the options of a plain trunk."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from polytask.core import Batch, Schema, opt

from .encoder import Encoder, EncoderOptions
from .members import Members


@dataclass(frozen=True)
class TrunkOptions(EncoderOptions):
    """Options of a trunk of equal blocks, as an ensemble of members in one network."""

    members: int = opt(16, "networks in one, by TabM's adapters", ours="measured: docs/defaults.md", ge=1)
    width: int = opt(256, "width of a hidden layer", ours="measured: docs/defaults.md", ge=1)
    depth: int = opt(2, "hidden layers", ours="measured: docs/defaults.md", ge=0)
    dropout: float = opt(0.0, "dropout after each hidden layer", ours="measured: docs/defaults.md", ge=0, lt=1)

    @property
    def widths(self) -> tuple[int, ...]:
        return (self.width,) * self.depth


class Stem(nn.Module):
    """Rows become vectors, one for each member: `Batch -> (*members, batch, width)`."""

    def __init__(self, schema: Schema, options: EncoderOptions, members: int = 1) -> None:
        super().__init__()
        self.encoder = Encoder(schema.inputs, options)
        self.members = Members(members, self.encoder.width)
        self.width = self.encoder.width

    def forward(self, batch: Batch) -> Float[Tensor, "*members batch width"]:
        x: Tensor = self.members(self.encoder(batch))
        return x
