"""Cloning experts from pixels, and learning by acting, with the parts of MENTOR exchanged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from polytask.balance import _balancer
from polytask.core import Batch, Fit, Schema, Source, System, registry
from polytask.core.option import make
from polytask.data.prepare import prepare
from polytask.data.sample import Rows
from polytask.data.split import SplitOptions
from polytask.data.worlds import pixel_control
from polytask.engine.loop import Loop
from polytask.engine.training import Training

ROUND = 100
"""Actions an epoch of learning has."""
_SCALE = {"pendulum": 0.05, "mountain_car": 0.05, "cart_pole": 0.5}
"""Brings an action's reward to about 1."""


@dataclass(frozen=True)
class Size:
    """How much is learnt: `epochs` of `steps` updates of cloning; `rounds` of 100 actions in each of `worlds`, an update after
    every action, a perturbation every `interval` updates. Cloned policies play `episodes` a world."""

    network: Mapping[str, int]
    batch: int
    epochs: int
    steps: int
    episodes: int
    rounds: int
    explore: int
    interval: int
    worlds: tuple[str, ...] = ("pendulum",)


@cache
def _log() -> tuple[Schema, Batch, Tensor, Batch]:
    """The logged transitions: schema, all rows, which train, and those that validate: every eighth episode of each world."""
    world, table = pixel_control, pixel_control.load()
    found = prepare([{"file": table}], world.tasks, world.inputs, world.ignore, SplitOptions(how="random"))
    episode = torch.from_numpy(table["episode"].to_numpy().copy())
    train, validation = ((episode % 8 != 3).nonzero()[:, 0], (episode % 8 == 3).nonzero()[:, 0])
    return found.schema, found.batch, train, found.batch.index(validation)


def _build(schema: Schema, options: Mapping[str, Any], seed: int) -> Any:
    cls = registry.load("mentor_visual_rl")
    torch.manual_seed(seed)
    return cls.build(schema, make(cls.options_type, options, "system"))


def _train(system: System, source: Source, rows: Batch, seed: int, epochs: int, lr: float, report: Any = None) -> Loop:
    training = Training(
        epochs=epochs, patience=epochs, steps=1, lr=lr, weight_decay=0.0, average=0.0, threads=1, seed=seed
    )  # fmt: skip
    rule, fabric = _balancer.make("equal", list(system.tasks), {}), Fabric(accelerator="cpu", devices=1)
    loop = Loop(system, rule, training, fabric, source, rows, rows, report=report)
    loop.run()
    return loop


def normalised(name: str, returns: Sequence[float]) -> list[float]:
    """Returns with 0 as random actions' and 1 as the expert's."""
    low, high = pixel_control.reference(name)
    return [(value - low) / (high - low) for value in returns]


def cosine(losses: Sequence[Tensor], parameters: Sequence[nn.Parameter]) -> float:
    """The mean cosine of the gradients of two losses, over all pairs."""
    gradients = []
    for loss in losses:
        parts = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        each = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, parts, strict=True)]
        gradients.append(torch.cat([part.flatten() for part in each]))
    pairs = [torch.nn.functional.cosine_similarity(a, b, dim=0) for a, b in combinations(gradients, 2)]
    return float(torch.stack(pairs).mean())


def clone(middle: str, seed: int, size: Size) -> tuple[System, int, dict[str, float], dict[str, list[float]]]:
    """Clone all experts with one actor; the gradients' cosine after each epoch, on rows that validate, without dropout."""
    schema, batch, rows, validation = _log()
    cosines: list[float] = []
    system = _build(schema, {**size.network, "middle": middle}, seed)
    actor = system.actor
    shared = [p for part in (actor.trunk, actor.first, actor.middle) for p in part.parameters()]

    def report(progress: Any, stage: Any, total: int) -> None:
        system.eval()
        cosines.append(cosine([system.losses(validation)[name] for name in system.tasks], shared))

    # As many updates an epoch whatever the rows are: a draw of them for each epoch's number.
    source = _Draws(batch, rows, size.batch, size.steps, seed)
    loop = _train(system, source, validation, seed, size.epochs, 1e-3, report)
    system.eval()
    seeds = np.arange(size.episodes) + 20_000 + 100 * seed
    scores = {name: float(np.mean(normalised(name, _play(system, name, seeds)))) for name in system.tasks}
    usage = float((system.tables(validation)["experts"].to_pandas() > 0).mean().max()) if middle == "moe" else None
    metrics = {"cosine": float(np.mean(cosines)), "return": float(np.mean(list(scores.values())))}
    metrics |= {f"return_{name}": value for name, value in scores.items()} | ({} if usage is None else {"busiest": usage})
    return system, loop.progress.steps, metrics, {"cosine": cosines}


class _Draws(Source):
    """A fixed number of batches an epoch, of rows drawn anew each epoch."""

    def __init__(self, batch: Batch, rows: Tensor, size: int, steps: int, seed: int) -> None:
        self.parts = (batch, rows, size, seed)
        self.steps = steps

    def epoch(self, number: int) -> Any:
        batch, rows, size, seed = self.parts
        generator = torch.Generator().manual_seed(seed * 10_000 + number)
        drawn = rows[torch.randint(len(rows), (self.steps * size,), generator=generator)]
        return Rows(batch, drawn, size, seed, shuffle=False).epoch(0)

    def __len__(self) -> int:
        return self.steps


@torch.inference_mode()
def _play(system: Any, name: str, seeds: Any) -> list[float]:
    def act(images: Any, states: Any) -> Any:
        output = system.actor(system.encoder(torch.from_numpy(images)), (name,))[0][name]
        return output.tanh().double().numpy()

    return pixel_control.rollout(name, act, seeds)


def learn(perturb: str, seed: int, size: Size) -> tuple[System, int, dict[str, float], dict[str, list[float]]]:
    """Learn by acting in each world; what the training episodes returned, on the whole and just after perturbations."""
    areas: list[float] = []
    after: list[float] = []
    curves, steps = {}, 0
    for name in size.worlds:
        schema = Schema.parse({"inputs": {"pixels": "pixels 9 32 32"}, "tasks": {name: "control 1"}})
        options = {
            **size.network, "environment": name, "perturb": perturb, "interval": size.interval, "steps": ROUND,
            "every": 1, "explore": size.explore, "replay_batch": size.batch, "reward_scale": _SCALE[name],
            "gamma": 0.97, "anneal": size.rounds * ROUND // 2,
            "capacity": 2 * (size.explore + size.rounds * ROUND),
        }  # fmt: skip
        system = _build(schema, options, seed)
        (stage,) = system.stages()
        assert isinstance(stage, Fit)
        assert stage.source is not None
        curve: list[float] = []

        def report(progress: Any, stage: Any, total: int, system: Any = system, curve: list[float] = curve) -> None:
            curve.append(float(system.learner.recent[0]))

        _train(system, stage.source, schema.example(2), seed, size.rounds, 1e-3, report)
        curve = normalised(name, curve)
        updates = range(size.interval, size.rounds * ROUND + 1, size.interval)
        late = [curve[n // ROUND : n // ROUND + 5] for n in updates]
        areas.append(float(np.mean(curve)))
        after += [float(np.mean(part)) for part in late if part]
        curves[f"return_{name}"] = curve
        steps += size.rounds * ROUND
    return system, steps, {"area": float(np.mean(areas)), "after": float(np.mean(after))}, curves
