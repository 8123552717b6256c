"""What every rule must do on sampled gradients."""

import pytest
import torch
from _sampling import (
    assert_non_conflicting,
    assert_permutation_equivariant,
    assert_scale_invariant,
    assert_sound,
    available,
    jacobian,
    losses_of,
    rule_of,
    samples,
    weigh,
)

from polytask.core import registry

IDS = available()
DRAWING = {"rlw", "pcgrad", "gradvac", "graddrop"}
ORDERED = {"pcd"}
SIGNED = {"imtlg", "alignedmtl", "config"}
SCALE_FREE = {
    "mgda",
    "cagrad",
    "config",
    "dualproj",
    "upgrad",
    "imtlg",
    "alignedmtl",
    "krum",
    "pcgrad",
    "gradvac",
    "sdmgrad",
    "modo",
}
SLOW = {"nashmtl", "fairgrad"}


@pytest.mark.parametrize("id", IDS)
def test_weights_are_finite_whatever_the_rank_and_the_scale(id: str) -> None:
    for jac in samples(2 if id in SLOW else 6):
        assert_sound(id, jac, signed=id in SIGNED)


@pytest.mark.parametrize("id", sorted(set(IDS) - DRAWING - ORDERED))
def test_the_order_of_the_tasks_does_not_matter(id: str) -> None:
    for count in (2, 5):  # of four, Krum's two that lie closest tie
        for seed in range(1 if id in SLOW else 3):
            assert_permutation_equivariant(id, jacobian(count, count, 1.0, seed), 1e-2 if id in SLOW | {"mgda"} else 1e-3)


@pytest.mark.parametrize("id", sorted(set(IDS) & SCALE_FREE))
@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_the_scale_of_the_gradients_does_not_matter(id: str, factor: float) -> None:
    for count in (1, 2, 4):
        assert_scale_invariant(id, jacobian(count, count, 1.0, seed=count), factor)


@pytest.mark.parametrize(("id", "tolerance"), [("mgda", 2e-2), ("upgrad", 1e-3), ("dualproj", 1e-3)])
def test_no_task_gets_worse(id: str, tolerance: float) -> None:
    if id not in IDS:
        pytest.skip("its solver is not installed")
    for jac in samples():
        assert_non_conflicting(id, jac, tolerance)


@pytest.mark.parametrize("id", IDS)
def test_one_task_keeps_its_direction(id: str) -> None:
    rule, jac = rule_of(id, 1), jacobian(1, 1, 1.0, 0)
    weights = weigh(rule, jac)
    assert weights.item() > 0
    if rule.sees == "jacobian" and id != "graddrop":
        assert torch.cosine_similarity(rule.combine(weights, jac, torch.arange(1)), jac[0], dim=0) > 0.999


@pytest.mark.parametrize("id", IDS)
def test_a_saved_state_goes_on_as_if_nothing_had_happened(id: str) -> None:
    """Also with tasks that batches lack; every value of the state is a tensor."""
    options = {"beta": 0.5, "at": "parameters"} if id == "dbmtl" else {}
    first = rule_of(id, 4, **options)
    _run(first, range(4))
    state = first.state_dict()
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    second = rule_of(id, 4, **options)
    second.load_state_dict({name: value.clone() for name, value in state.items()})
    for one, other in zip(_run(first, range(4, 8)), _run(second, range(4, 8)), strict=True):
        assert torch.equal(one, other)


def _run(rule: torch.nn.Module, steps: range) -> list[torch.Tensor]:
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


def test_every_balancer_states_its_card() -> None:
    cards = registry.balancers()
    assert {"equal", "fixed", "uncertainty", "mgda", "pcgrad", "nashmtl", "dbmtl"} <= set(cards)
    for id, card in cards.items():
        assert card.kind in ("losses", "gradients")
        assert card.paper.startswith("https://") or id in ("equal", "fixed")
