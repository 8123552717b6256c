"""Gramians of chosen rank and scale, and what must hold of a weighting on them."""

import torch
from torch import Tensor

from polytask.core import MissingExtra, Weighting, registry

SCALES = (0.0, 1e-15, 1e-6, 1.0, 1e6, 1e15)


def available() -> list[str]:
    """The balancers whose packages are installed."""
    found = []
    for id in registry.balancers():
        try:
            rule_of(id, 2)
        except MissingExtra:
            continue
        found.append(id)
    return found


def rule_of(id: str, count: int, **values: object) -> Weighting:
    rule = registry.weighting(id)
    made: Weighting = rule([f"task {number}" for number in range(count)], rule.Options(**values))
    return made


def jacobian(count: int, rank: int, scale: float, seed: int, width: int = 12, dtype: torch.dtype = torch.float32) -> Tensor:
    """`count` gradients in a space of `rank` dimensions, their entries of about the size `scale`."""
    generator = torch.Generator().manual_seed(seed)
    left, right = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((count, rank), (rank, width)))
    return (scale * (left @ right) / max(rank, 1) ** 0.5).to(dtype)


def losses_of(count: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=dtype) + 0.1


def samples(largest: int = 6) -> list[Tensor]:
    """Jacobians of 1 to `largest` tasks: rank one and full rank, every scale; and some with a task that has no gradient."""
    shapes = [(count, rank) for count in (1, 2, 3, 6) if count <= largest for rank in sorted({1, count})]
    found = [jacobian(2, 2, scale, seed=0) for scale in SCALES]
    found += [
        jacobian(*shape, scale, seed=n) for n, shape in enumerate(shapes) for scale in (SCALES[n % 6], SCALES[(n + 3) % 6])
    ]
    for count in (2, largest):
        found.append(jacobian(count, count, 1.0, seed=count))
        found[-1][0] = 0
    return found


def weigh(rule: Weighting, jac: Tensor, losses: Tensor | None = None, present: Tensor | None = None) -> Tensor:
    """The weights for the gradients that are the rows of `jac`."""
    losses = losses_of(len(jac), 0, jac.dtype) if losses is None else losses
    present = torch.arange(len(jac)) if present is None else present
    seen = {"losses": None, "gramian": jac @ jac.T, "jacobian": jac}[rule.sees]
    return rule(losses, seen, present).detach()


def assert_sound(id: str, jac: Tensor, signed: bool) -> None:
    """Two steps in a row give finite weights, not negative unless `signed`, and a finite direction."""
    rule = rule_of(id, len(jac))
    for _ in range(2):
        weights = weigh(rule, jac)
        assert weights.shape == (len(jac),)
        assert weights.isfinite().all(), f"{id}: {weights} for {jac}"
        assert signed or (weights >= -1e-6 * weights.abs().max()).all(), f"{id}: {weights} for {jac}"
        if rule.sees == "jacobian":
            assert rule.combine(weights, jac, torch.arange(len(jac))).isfinite().all()


def assert_permutation_equivariant(id: str, jac: Tensor, tolerance: float = 1e-4) -> None:
    order = torch.randperm(len(jac), generator=torch.Generator().manual_seed(3))
    losses = losses_of(len(jac), 1, jac.dtype)
    straight, permuted = weigh(rule_of(id, len(jac)), jac, losses), weigh(rule_of(id, len(jac)), jac[order], losses[order])
    torch.testing.assert_close(straight[order], permuted, rtol=tolerance, atol=tolerance * float(straight.abs().max()))


def assert_scale_invariant(id: str, jac: Tensor, factor: float, tolerance: float = 1e-4) -> None:
    one, other = weigh(rule_of(id, len(jac)), jac), weigh(rule_of(id, len(jac)), factor * jac)
    torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance * float(one.abs().max()))


def assert_non_conflicting(id: str, jac: Tensor, tolerance: float) -> None:
    """No task's loss rises, to first order, along the direction; `tolerance` is a share of the largest squared norm."""
    gramian = (jac @ jac.T).double()
    inner = gramian @ weigh(rule_of(id, len(jac)), jac).double()
    assert inner.min() >= -tolerance * gramian.diagonal().max(), f"{id}: {inner}"
