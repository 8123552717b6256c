"""How far the tasks' gradients pull apart: their Gramian on one batch an epoch, kept for the report.

Taken where balancing would take it: at the shared representation where the system names one (cheap: every epoch), else at the
shared parameters (K backward passes: in epochs 1, 2, 4, 8, ...). It draws no random number and leaves no gradient behind, so
training is the same with and without it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float
from torch import Tensor

from polytask.balance._gramian import gradients
from polytask.core import Update

MOST = 64
"""Objectives above which nothing is measured: a backward pass each."""


class Conflict:
    """The Gramians of a run, by stage and epoch, over all objectives of the system (NaN where one had no loss)."""

    def __init__(self, objectives: Sequence[str], cheap: bool, active: bool = True) -> None:
        self.objectives, self.cheap = tuple(objectives), cheap
        self.active = active and 1 < len(self.objectives) <= MOST
        self.found: dict[str, Float[Tensor, "k k"]] = {}

    def due(self, epoch: int) -> bool:
        """Whether epoch number `epoch` (the first is 1) is one to measure in."""
        return self.active and (self.cheap or epoch & (epoch - 1) == 0)

    def measure(self, update: Update, stage: int, epoch: int) -> None:
        """Take the Gramian of this step's losses, before the update uses them."""
        names = [name for name in self.objectives if name in update.losses and update.losses[name].requires_grad]
        if not update.shared and update.representation is None:
            return
        if update.reduce is None and len(names) < 2:
            return
        known = self.objectives if update.reduce else names  # with several processes, all take part in the same sums
        seen = gradients(replace(update, own={}), known, known, "auto", rows=False).gramian.detach().float().cpu()
        places = torch.tensor([self.objectives.index(name) for name in known])
        whole = torch.full((len(self.objectives), len(self.objectives)), torch.nan)
        whole[places[:, None], places] = seen
        still = whole.diagonal() == 0  # without a gradient there is no direction
        whole[still], whole[:, still] = torch.nan, torch.nan
        self.found[f"{stage}/{epoch}"] = whole

    def state_dict(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return dict(self.found)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a checkpoint."""
        self.found = dict(state)

    def table(self, stages: Sequence[str]) -> pa.Table:
        """`gradients.parquet`: a row for each stage, epoch and pair of tasks, with their cosine and the first one's norm."""
        keys = [key.split("/") for key in self.found]
        grams = torch.stack(list(self.found.values())).double() if keys else torch.zeros(0, *2 * [len(self.objectives)])
        norms = grams.diagonal(dim1=1, dim2=2).sqrt()
        cosines = (grams / (norms[:, :, None] * norms[:, None, :])).clamp(-1, 1)
        epoch, first, second = np.nonzero(np.isfinite(cosines.numpy()))
        names = np.array(self.objectives, dtype=object)
        return pa.table(
            {
                "stage": pa.array([stages[int(keys[e][0])] for e in epoch], pa.string()),
                "epoch": pa.array([int(keys[e][1]) for e in epoch], pa.int64()),
                "task": pa.array(names[first], pa.string()),
                "other": pa.array(names[second], pa.string()),
                "cosine": pa.array(cosines.numpy()[epoch, first, second], pa.float32()),
                "norm": pa.array(norms.numpy()[epoch, first], pa.float32()),
            }
        )
