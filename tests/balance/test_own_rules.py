"""Our own rules against closed forms, autograd and torchjd."""

import math

import pytest
import torch
from _net import rule_of
from torch import Tensor
from torchjd import scalarization
from torchjd.aggregation import CRMOGMWeighting, ExcessMTLWeighting, MGDAWeighting

from polytask.core import OptionError, registry
from polytask.testing.weightings import jacobian, losses_of, weigh

ALL = torch.arange(3)


def gradient(scalar: Tensor, losses: Tensor) -> Tensor:
    return torch.autograd.grad(scalar, losses)[0]


@pytest.mark.parametrize(
    ("id", "options", "reference"),
    [
        ("gls", {}, scalarization.GeometricMean()),
        ("stch", {"mu": 0.3}, scalarization.STCH(0.3)),
        (
            "stch",
            {"mu": 0.01, "preference": (0.5, 0.2, 0.3), "ideal": (0.1, 0.0, 0.2)},
            scalarization.STCH(0.01, torch.tensor([0.5, 0.2, 0.3]), torch.tensor([0.1, 0.0, 0.2])),
        ),
        ("uncertainty", {}, scalarization.UW(3)),
        ("imtll", {}, scalarization.IMTLL(3)),
        ("famo", {}, scalarization.FAMO(3)),
        ("equal", {}, scalarization.Sum()),
    ],
)
def test_weights_are_the_gradient_of_the_scalarization(id: str, options: dict, reference: scalarization.Scalarizer) -> None:
    losses = losses_of(3, 5).requires_grad_()
    rule = rule_of(id, 3, **options)
    torch.testing.assert_close(rule(losses.detach(), None, ALL).detach(), gradient(reference(losses), losses))


@pytest.mark.parametrize(("id", "reference"), [("uncertainty", scalarization.UW), ("imtll", scalarization.IMTLL)])
def test_learnt_weights_get_the_gradient_of_the_paper(id: str, reference: type) -> None:
    rule, other, losses = rule_of(id, 3), reference(3), losses_of(3, 1)
    (own,), (its,) = list(rule.parameters()), list(other.parameters())
    with torch.no_grad():
        own += torch.tensor([0.3, -1.0, 2.0])
        its += own
    rule.objective(rule(losses, None, ALL), losses).backward()
    other(losses).backward()
    torch.testing.assert_close(own.grad, its.grad)


def test_uncertainty_of_tasks_that_a_batch_lacks_stays() -> None:
    rule = rule_of("uncertainty", 3)
    present, losses = torch.tensor([0, 2]), torch.tensor([2.0, 0.5])
    rule.objective(rule(losses, None, present), losses).backward()
    torch.testing.assert_close(rule.log_variance.grad, torch.tensor([0.5 - 1.0, 0.0, 0.5 - 0.25]))


def test_fixed_weights_by_name_and_by_order() -> None:
    losses = losses_of(3, 0)
    assert rule_of("fixed", 3, weights=(1.0, 0.5, 2.0))(losses[:2], None, torch.tensor([0, 2])).tolist() == [1.0, 2.0]
    assert rule_of("fixed", 3, weights={"task 1": 0.25})(losses, None, ALL).tolist() == [1.0, 0.25, 1.0]
    with pytest.raises(OptionError, match=r"unknown name 'task1'\. Did you mean 'task 1'"):
        rule_of("fixed", 3, weights={"task1": 0.25})
    with pytest.raises(OptionError, match="2 weights for 3 tasks"):
        rule_of("fixed", 3, weights=(1.0, 2.0))


def test_dwa_follows_its_formula_and_torchjd() -> None:
    rule, reference = rule_of("dwa", 3), scalarization.DWA()
    history = []
    for epoch in range(4):
        rule.start_epoch(epoch)
        rule.start_epoch(epoch)  # as a run that is resumed does
        batches = [losses_of(3, 10 * epoch + n) for n in range(3)]
        for losses in batches:
            tracked = losses.clone().requires_grad_()
            weights = rule(losses, None, ALL)
            torch.testing.assert_close(weights, gradient(reference(tracked), tracked))
            if epoch >= 2:
                rate = history[-1] / history[-2]
                torch.testing.assert_close(weights, 3 * torch.softmax(rate / 2, 0))
        history.append(torch.stack(batches).mean(0))
        reference.step()


def test_dwa_waits_for_a_task_that_comes_late() -> None:
    rule = rule_of("dwa", 2)
    for epoch in range(3):
        rule.start_epoch(epoch)
        weights = rule(torch.ones(1), None, torch.tensor([0]))
    assert weights.item() == pytest.approx(1.0)
    rule.start_epoch(3)
    assert rule(torch.ones(2), None, torch.arange(2)).isfinite().all()


def test_rlw_draws_a_point_of_the_simplex_from_its_seed() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one, same, other = rule_of("rlw", 3, seed=5), rule_of("rlw", 3, seed=5), rule_of("rlw", 3, seed=6)
    first = one(losses_of(3, 0), None, ALL)
    assert torch.equal(first, same(losses_of(3, 1), None, ALL))
    assert not torch.equal(first, other(losses_of(3, 0), None, ALL))
    assert not torch.equal(first, one(losses_of(3, 0), None, ALL))
    assert first.sum().item() == pytest.approx(1.0)
    assert torch.equal(torch.get_rng_state(), before)
    many = torch.stack([one(losses_of(3, 0), None, ALL) for _ in range(500)])
    torch.testing.assert_close(many.mean(0), torch.full((3,), 1 / 3), atol=0.03, rtol=0)


def test_gradnorm_takes_the_step_of_the_paper() -> None:
    rule, alpha, lr = rule_of("gradnorm", 3, alpha=0.8, lr=0.01), 0.8, 0.01
    start, later, jac = losses_of(3, 1), losses_of(3, 2), jacobian(3, 3, 2.0, 1)
    rule.start.copy_(start)
    assert weigh(rule, jac, later).tolist() == [1.0, 1.0, 1.0]
    weights = torch.ones(3, requires_grad=True)
    norms = (weights[:, None] * jac).norm(dim=1)
    mean = norms.mean().detach()
    rate = (later / start) / (later / start).mean()
    objective = (norms - mean * rate**alpha).abs().sum() / mean
    moved = weights.detach() - lr * gradient(objective, weights)
    torch.testing.assert_close(weigh(rule, jac, later), 3 * moved / moved.sum())


def test_famo_steps_as_torchjd() -> None:
    rule, reference = rule_of("famo", 3), scalarization.FAMO(3)
    for step in range(5):
        losses, after = losses_of(3, 2 * step).requires_grad_(), losses_of(3, 2 * step + 1)
        torch.testing.assert_close(rule(losses.detach(), None, ALL), gradient(reference(losses), losses), rtol=1e-4, atol=1e-5)
        rule.observe(after, ALL)
        reference.update(after)


def test_famo_moves_the_logits_of_the_tasks_of_the_batch_against_the_fall_of_their_losses() -> None:
    rule, present = rule_of("famo", 3), torch.tensor([0, 2])
    rule(torch.tensor([1.0, 1.0]), None, present)
    rule.observe(torch.tensor([0.5, 0.9]), present)  # the first task fell more, so it needs less weight
    assert rule.xi[0] < 0 < rule.xi[2]
    assert rule.xi[1] == 0


def test_dbmtl_brings_the_gradients_of_log_losses_to_the_largest_norm() -> None:
    jac, losses = jacobian(3, 3, 1.0, 4), losses_of(3, 4)
    logs = jac / losses[:, None]
    expected = (logs / logs.norm(dim=1, keepdim=True)).sum(0) * logs.norm(dim=1).max()
    torch.testing.assert_close(weigh(rule_of("dbmtl", 3), jac, losses) @ jac, expected, rtol=1e-4, atol=1e-5)


def test_dbmtl_averages_gradients_over_steps() -> None:
    rule, mean = rule_of("dbmtl", 3, beta=0.9, sigma=0.5), torch.zeros(3, 12)
    for step in range(1, 4):
        jac, losses = jacobian(3, 3, 1.0, step), losses_of(3, step)
        beta = 0.9 / math.sqrt(step)
        mean = beta * mean + (1 - beta) * jac / losses[:, None]
        expected = (mean / mean.norm(dim=1, keepdim=True)).sum(0) * mean.norm(dim=1).max()
        torch.testing.assert_close(rule.combine(weigh(rule, jac, losses), jac, ALL), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(OptionError, match="at = 'parameters'"):
        rule_of("dbmtl", 3, beta=0.9, at="representation")


@pytest.mark.parametrize("warmup", [0, 2])
def test_excessmtl_agrees_with_torchjd(warmup: int) -> None:
    rule, reference = rule_of("excessmtl", 3, warmup=warmup, step=0.1), ExcessMTLWeighting(0.1, warmup)
    for step in range(5):
        jac = jacobian(3, 3, 0.3, step)
        torch.testing.assert_close(weigh(rule, jac), reference(jac))


def test_crmogm_agrees_with_torchjd_and_refuses_rules_without_weights() -> None:
    rule, reference = rule_of("crmogm", 3), CRMOGMWeighting(MGDAWeighting())
    for step in range(4):
        jac = jacobian(3, 3, 1.0, step)
        torch.testing.assert_close(weigh(rule, jac), reference(jac @ jac.T), rtol=1e-3, atol=1e-4)
    with pytest.raises(OptionError, match="'graddrop' gives no weights from a Gramian"):
        rule_of("crmogm", 3, rule="graddrop")
    with pytest.raises(OptionError, match=r"unknown name 'mgd'\. Did you mean 'mgda'"):
        registry.weighting("crmogm")(["a"], registry.weighting("crmogm").Options(rule="mgd"))
