"""RecurrentVarNet: undersampled multi-coil MRI becomes images by unrolled descent in k-space (Yiasemis 2022)."""

card = {
    "title": "Recurrent Variational Network: A Deep Learning Inverse Problem Solver applied to the task of Accelerated MRI "
    "Reconstruction",
    "paper": "Yiasemis et al., CVPR 2022, https://arxiv.org/abs/2111.09639",
    "year": 2022,
    "field": "medical",
    "kind": "architecture",
    "example": {"inputs": {"kspace": "kspace 2 8 8"}, "tasks": {"image": "map 8 8"}},
    "defaults": {"training": {"lr": 1e-3, "batch_size": 8, "weight_decay": 0.0}},
}

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from polytask.core import Batch, OptionError, Record, Schema, Stage, System, Task, opt
from polytask.core.stage import Fit
from polytask.nn.conv_gru import ConvGRU, Initialiser
from polytask.nn.fourier import fft2c, ifft2c, rss, sense_combine, sense_expand, sensitivities
from polytask.nn.unet import UNet

_DILATIONS = (1, 1, 2, 4)


@dataclass(frozen=True)
class Options:
    """Options of RecurrentVarNet, and of the rivals that it is compared with."""

    network: Literal["varnet", "unet", "zero"] = opt(
        "varnet", "what reconstructs: the unrolled network; a U-Net on the combined image; nothing (lines left out are zero)",
        paper="sec. 3", choices=("varnet", "unet", "zero"),
    )  # fmt: skip
    blocks: int = opt(4, "blocks, T", ours="the paper's 8 to 15 take a GPU", ge=1)
    hidden: int = opt(16, "channels of the recurrent state", ours="the paper's 64 take a GPU", ge=2)
    layers: int = opt(2, "recurrent layers of a block", ours="the paper's 4 take a GPU", ge=1)
    shared: bool = opt(False, "one block's weights for all blocks", paper="sec. 3: each has its own")
    initialiser: bool = opt(True, "learn the first state from the combined image's k-space, else zeros", paper="sec. 3.2")
    multiscale: int = opt(3, "convolutions of the initialiser that it reads", paper="authors' configurations", ge=1, le=4)
    normalised: bool = opt(False, "bring each block's image to mean 0 and deviation 1 and back", paper="authors' code: off")
    recurrence: bool = opt(True, "the state runs through the blocks, else each starts from zeros", paper="eq. 11")
    width: int = opt(8, "channels of the U-Net's first block", ours="a small image", ge=1)
    levels: int = opt(2, "halvings of the U-Net", ours="a small image", ge=0)


class RecurrentVarNet(System):
    """`y_{t+1} = y_t - a_t M (y_t - y~) + F E G_t(R F^-1 y_t, h_t)`: the image is the root sum of squares of `F^-1 y_T`.

    y is the k-space of all coils, y~ what was measured, M the mask, F the centred orthonormal Fourier transform, R and E
    combine and expand coils, G_t is a `ConvGRU` whose state h runs through the blocks. The learnt term has a plus sign, as in
    the authors' code. Coil maps are estimated from the measured lines around the middle. Inputs of other kinds are not read.
    All tasks read the same image, each in its own scale: targets are taken to be in the units of the measured k-space's inverse
    transform, as root-sum-of-squares images are.

    Deviations: a_0 is left out, as the first step's error is zero (y_0 = y~); the U-Net that refines the maps is left out: it
    is a network of its own beside the method, and with it the rivals would differ in two things; the convolutions of the
    initialiser are `hidden / 2, hidden / 2, hidden, hidden` wide, which are the paper's widths at its 64.
    """

    options_type = Options
    representation = None  # what tasks share is the image itself

    def __init__(
        self, kspace: str, sides: tuple[int, int], scales: Mapping[str, float], tasks: Mapping[str, Task], options: Options
    ) -> None:
        super().__init__(tasks)
        self.kspace, self.sides, self.scales, self.options = kspace, sides, dict(scales), options
        if options.network == "unet":
            self.unet = UNet(2, options.width, options.levels)
        if options.network != "varnet":
            return
        hidden, layers = options.hidden, options.layers
        self.regularisers = nn.ModuleList(
            ConvGRU(2, hidden, layers, options.normalised) for _ in range(1 if options.shared else options.blocks)
        )
        self.steps = nn.Parameter(torch.ones(options.blocks - 1))
        self.initialise: Initialiser | None = None
        if options.initialiser and options.recurrence:
            widths = (hidden // 2, hidden // 2, hidden, hidden)
            self.initialise = Initialiser(2, hidden, layers, widths, _DILATIONS, options.multiscale)

    @classmethod
    def build(cls, schema: Schema, options: Options) -> "RecurrentVarNet":
        where, names = "system 'recurrent_varnet'", schema.of_kind("kspace")
        if len(names) != 1:
            raise OptionError.of(where, f"needs one input of kind kspace; found {len(names)}", "Declare one, ignore the others")
        item: Any = schema.inputs[names[0]]
        scales = {}
        for name, task in schema.tasks.items():
            shape = (item.height, item.width)
            if task.kind != "map" or task.output_shape != shape:
                problem = f"task '{name}' is no image of {shape[0]} x {shape[1]} pixels"
                raise OptionError.of(where, problem, "Declare it as kind map, of the k-space's sizes")
            scales[name] = 1 / task.scale  # type: ignore[attr-defined]
        return cls(names[0], (item.height, item.width), scales, schema.tasks, options)

    def forward(self, batch: Batch, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        column = batch.inputs[self.kspace]
        assert isinstance(column, Record)
        image = self.reconstruct(batch) * column["scale"][:, None, None]
        return {name: image * self.scales[name] for name in (self.tasks if tasks is None else tasks)}

    def reconstruct(self, batch: Batch) -> Float[Tensor, "batch height width"]:
        """The image of the encoded k-space, each row in its own scale."""
        column = batch.inputs[self.kspace]
        assert isinstance(column, Record)
        # A row without measurement is zeros and stays so: nothing is known of it.
        measured, mask = column["kspace"] * batch.present.tensor(self.kspace)[:, None, None, None, None], column["mask"]
        if self.options.network == "zero":
            return rss(ifft2c(measured))
        maps = sensitivities(measured, mask)
        if self.options.network == "unet":
            image = sense_combine(ifft2c(measured), maps)
            correction = self.unet(image.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            return rss(sense_expand(image + correction, maps))
        return rss(ifft2c(self.unroll(measured, mask, maps)))

    def unroll(
        self,
        measured: Float[Tensor, "batch coils height width 2"],
        mask: Bool[Tensor, "batch width"],
        maps: Float[Tensor, "batch coils height width 2"],
    ) -> Float[Tensor, "batch coils height width 2"]:
        """The k-space after all blocks (eq. 10)."""
        rows, (height, width) = len(measured), self.sides
        zeros = measured.new_zeros(self.options.layers, rows, self.options.hidden, height, width)
        state = zeros if self.initialise is None else self.initialise(_channels(fft2c(_combined(measured, maps))))
        y, steps = measured, torch.cat([self.steps.new_ones(1), self.steps])
        for t in range(self.options.blocks):
            regulariser = self.regularisers[0 if self.options.shared else t]
            correction, new = regulariser(_channels(_combined(y, maps)), state)
            y = consistent(y, measured, mask, steps[t]) + fft2c(sense_expand(correction.permute(0, 2, 3, 1), maps))
            state = new if self.options.recurrence else zeros
        return y

    def stages(self) -> Sequence[Stage]:
        return [Fit()] if self.options.network != "zero" else []


def consistent(
    y: Float[Tensor, "batch coils height width 2"],
    measured: Float[Tensor, "batch coils height width 2"],
    mask: Bool[Tensor, "batch width"],
    step: Float[Tensor, ""],
) -> Float[Tensor, "batch coils height width 2"]:
    """A step towards the measured lines: `y - a M (y - y~)`; all other lines stay."""
    return y - step * mask[:, None, None, :, None] * (y - measured)


def _combined(y: Tensor, maps: Tensor) -> Float[Tensor, "batch height width 2"]:
    return sense_combine(ifft2c(y), maps)


def _channels(image: Float[Tensor, "batch height width 2"]) -> Float[Tensor, "batch 2 height width"]:
    return image.permute(0, 3, 1, 2)
