"""What every weighting must hold on sampled gradients, and what is measured of it: order, scale, sign, conflict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torchjd import aggregation

from polytask.balance import _torchjd
from polytask.core import MissingExtra, Weighting, registry
from polytask.core.option import make

from ._report import Report, checks_in, measure, run_checks

SCALES = (0.0, 1e-15, 1e-6, 1.0, 1e6, 1e15)
_SHAPES = ((1, 1), (2, 1), (3, 3), (4, 2))
_WIDTH = 12
_TOLERANCE = 1e-2
"""Of solvers that stop early."""


@dataclass(frozen=True)
class Case:
    """A rule and its options."""

    cls: type[Weighting]
    options: Mapping[str, Any] = field(default_factory=dict)

    def rule(self, count: int) -> Weighting:
        """A fresh rule for `count` tasks."""
        tasks = [f"task {number}" for number in range(count)]
        return self.cls(tasks, make(self.cls.Options, self.options, self.cls.__name__))


def available() -> list[str]:
    """The balancers that are rules of weights, and whose packages are installed."""
    found = []
    for id in registry.balancers():
        try:
            rule = registry.weighting(id)
            if issubclass(rule, Weighting):
                Case(rule).rule(2)
                found.append(id)
        except MissingExtra:
            continue
    return found


def jacobian(count: int, rank: int, scale: float, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """`count` gradients in a space of `rank` dimensions, their entries of about the size `scale`."""
    generator = torch.Generator().manual_seed(seed)
    left, right = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((count, rank), (rank, _WIDTH)))
    gradients: Tensor = scale * (left @ right) / max(rank, 1) ** 0.5
    return gradients.to(dtype)


def losses_of(count: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Losses between 0.1 and 1.1."""
    return torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=dtype).add(0.1)


def samples() -> list[Tensor]:
    """Gradients of 1 to 4 tasks, of full and lower rank; and with a task that has none."""
    found = [jacobian(*shape, 1.0, seed=number) for number, shape in enumerate((*_SHAPES, (3, 3)))]
    found[-1][0] = 0
    return found


def scaled_samples() -> list[Tensor]:
    """The samples, and others at every scale."""
    found = samples() + [jacobian(2, 2, scale, seed=0) for scale in SCALES]
    return found + [jacobian(*shape, scale, seed=9) for shape, scale in zip(_SHAPES, SCALES[1:], strict=False)]


def weigh(rule: Weighting, jac: Tensor, losses: Tensor | None = None, present: Tensor | None = None) -> Tensor:
    """The weights for the gradients that are the rows of `jac`."""
    losses = losses_of(len(jac), 0, jac.dtype) if losses is None else losses
    present = torch.arange(len(jac)) if present is None else present
    seen = {"losses": None, "gramian": jac @ jac.T, "jacobian": jac}[rule.sees]
    weights: Tensor = rule(losses, seen, present)
    return weights.detach()


def direction(rule: Weighting, jac: Tensor) -> Tensor:
    """The gradient that the shared parameters get."""
    weights = weigh(rule, jac)
    return rule.combine(weights, jac, torch.arange(len(jac))) if rule.sees == "jacobian" else weights @ jac


def check_finite(case: Case) -> None:
    """Two steps in a row give a finite weight a task and a finite direction, whatever the rank and the scale."""
    for jac in scaled_samples():
        rule = case.rule(len(jac))
        for _ in range(2):
            weights = weigh(rule, jac)
            assert weights.shape == (len(jac),), f"{tuple(weights.shape)} weights for {len(jac)} tasks"
            assert bool(weights.isfinite().all()), f"weights are {weights} for gradients {jac}"
        if rule.sees == "jacobian":
            assert bool(rule.combine(weights, jac, torch.arange(len(jac))).isfinite().all()), f"no finite direction for {jac}"


def check_one_task(case: Case) -> None:
    """One task alone keeps its direction."""
    for seed in range(4):
        jac = jacobian(1, 1, 1.0, seed)
        cosine = float(torch.cosine_similarity(direction(case.rule(1), jac), jac[0], dim=0))
        assert cosine > 0.999, f"the direction has cosine {cosine:.3f} to the only gradient"


def check_missing_tasks(case: Case) -> None:
    """A batch may hold any of the tasks; each that it holds gets a finite weight."""
    rule = case.rule(3)
    for present in ([0, 2], [1], [0, 1, 2], [2]):
        weights = weigh(rule, jacobian(len(present), len(present), 1.0, seed=1), present=torch.tensor(present))
        assert weights.shape == (len(present),), f"{tuple(weights.shape)} weights for tasks {present}"
        assert bool(weights.isfinite().all()), f"weights are {weights} for tasks {present}"
        rule.observe(losses_of(len(present), 2), torch.tensor(present))


def check_state(case: Case) -> None:
    """The state is tensors, and a rule that loads it goes on as if nothing had happened, also where batches lack tasks."""
    first, second = case.rule(4), case.rule(4)
    _run(first, range(4))
    state = first.state_dict()
    assert all(isinstance(value, Tensor) for value in state.values()), f"the state is not tensors alone: {state}"
    second.load_state_dict({name: value.clone() for name, value in state.items()})
    for one, other in zip(_run(first, range(4, 7)), _run(second, range(4, 7)), strict=True):
        assert torch.equal(one, other), f"{other} after loading, {one} without"


def _run(rule: Weighting, steps: range) -> list[Tensor]:
    found = []
    for step in steps:
        present = torch.tensor([[0, 1, 2, 3], [0, 2, 3], [1, 2, 3]][step % 3])
        rule.start_epoch(step // 2)
        jac = jacobian(4, 3, 1.0, step)[present]
        weights = weigh(rule, jac, losses_of(len(present), step), present)
        found.append(rule.combine(weights, jac, present) if rule.sees == "jacobian" else weights)
        if rule.looks_back:
            rule.observe(losses_of(len(present), step + 100), present)
    return found


def check_torchjd(case: Case) -> None:
    """A rule of torchjd gives torchjd's direction, unless it draws, or searches from its last weights."""
    everyone = torch.arange(5)
    for seed in range(3):
        jac, rule = jacobian(5, 5, 1.0, seed), case.rule(5)
        if not isinstance(rule, _torchjd.TorchjdRule) or rule.draws_numbers or isinstance(rule, _torchjd.NashMTL):
            return
        jac /= (jac**2).sum(1).mean().sqrt()  # torchjd's rules on the simplex depend on the scale, ours do not
        theirs = rule.source(**rule.given(everyone))
        expected = theirs(jac) if isinstance(theirs, aggregation.Aggregator) else theirs(jac @ jac.T) @ jac
        torch.testing.assert_close(direction(rule, jac), expected, rtol=2e-3, atol=2e-3 * float(expected.abs().max()))


def keeps_order(case: Case) -> None:
    """Weights go with their tasks, in whatever order tasks are given."""
    for count in (2, 5):  # of four, two pairs may lie equally close
        jac, losses = jacobian(count, count, 1.0, seed=count), losses_of(count, 1)
        order = torch.randperm(count, generator=torch.Generator().manual_seed(3))
        straight, permuted = weigh(case.rule(count), jac, losses), weigh(case.rule(count), jac[order], losses[order])
        _close(permuted, straight[order])


def ignores_scale(case: Case) -> None:
    """Gradients of 1e-12 and 1e12 times the size give the same weights."""
    for factor in (1e-12, 1e12):
        for count in (1, 2, 4):
            jac = jacobian(count, count, 1.0, seed=count)
            _close(weigh(case.rule(count), factor * jac), weigh(case.rule(count), jac))


def never_negative(case: Case) -> None:
    """No weight is below zero."""
    for jac in samples():
        weights = weigh(case.rule(len(jac)), jac)
        assert bool((weights >= -1e-6 * weights.abs().max()).all()), f"a weight is {float(weights.min()):.3g}"


def never_conflicts(case: Case) -> None:
    """No task's loss rises along the direction, to first order."""
    for jac in samples():
        inner = jac.double() @ direction(case.rule(len(jac)), jac).double()
        least = float(inner.min() / (jac.double() ** 2).sum(1).max().clamp(min=1e-300))
        assert least >= -2 * _TOLERANCE, f"a task's gradient has the product {least:.3g} with the direction"


def _close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=_TOLERANCE, atol=_TOLERANCE * float(expected.abs().max()))


CHECKS = checks_in(globals())
MEASURES = {
    "keeps the order of tasks": keeps_order,
    "ignores the scale of gradients": ignores_scale,
    "never negative": never_negative,
    "never conflicts": never_conflicts,
}


def check_weighting(rule: str | type[Weighting], options: Mapping[str, Any] | None = None) -> Report:
    """Run every check on a balancer's rule, or on a class, with `options`, and measure its properties."""
    cls: type[Weighting] = registry.weighting(rule) if isinstance(rule, str) else rule
    case = Case(cls, options or {})
    attempts = {name: partial(property, case) for name, property in MEASURES.items()}
    return Report(str(rule), run_checks(CHECKS, case), measure(attempts))
