"""torchjd's rules as balancers: the same values, and independent closed forms."""

import pytest
import torch
from _net import rule_of
from torchjd import aggregation

from polytask.core import MissingExtra, OptionError, option, registry
from polytask.testing.weightings import available, jacobian, weigh


@pytest.mark.parametrize(
    ("id", "reference"),
    [
        ("gradvac", aggregation.GradVacWeighting),
        ("modo", aggregation.MoDoWeighting),
        ("sdmgrad", aggregation.SDMGradWeighting),
        ("pcd", aggregation.PCDWeighting),
    ],
)
def test_states_move_as_those_of_torchjd(id, reference) -> None:
    rule, other = rule_of(id, 2), reference()  # of two tasks, no order is drawn
    for step in range(4):
        jac = jacobian(2, 2, 1.0, step)
        jac /= (jac**2).sum(1).mean().sqrt()
        torch.testing.assert_close(weigh(rule, jac), other(jac @ jac.T), rtol=1e-3, atol=1e-4)


@pytest.mark.skipif("nashmtl" not in available(), reason="cvxpy is not installed")
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_nash_weights_solve_the_equation_of_the_paper(scale: float) -> None:
    """G w = 1 / w (Navon et al. 2022, claim 3.1)."""
    jac = jacobian(3, 3, scale, 1, dtype=torch.float64)
    weights = weigh(rule_of("nashmtl", 3, max_norm=0.0), jac)
    torch.testing.assert_close((jac @ jac.T @ weights) * weights, torch.ones(3, dtype=torch.float64), rtol=0.02, atol=0.0)
    assert (weigh(rule_of("nashmtl", 3, max_norm=0.5), jac) @ jac).norm().item() == pytest.approx(0.5, rel=1e-4)


def test_mgda_of_two_tasks_is_the_nearest_point_of_a_segment() -> None:
    for seed in range(10):
        one, two = jac = jacobian(2, 2, 1.0, seed)
        share = ((two - one) @ two / ((one - two) @ (one - two))).clamp(0, 1)
        torch.testing.assert_close(weigh(rule_of("mgda", 2), jac), torch.stack([share, 1 - share]), rtol=1e-3, atol=1e-3)


def test_pcgrad_of_two_tasks_projects_each_gradient_off_the_other() -> None:
    for seed in range(10):
        one, two = jac = jacobian(2, 2, 1.0, seed)
        expected = torch.zeros(12)
        for own, other in ((one, two), (two, one)):
            inner = own @ other
            expected += own - inner / (other @ other) * other if inner < 0 else own
        torch.testing.assert_close(weigh(rule_of("pcgrad", 2), jac) @ jac, expected, rtol=1e-3, atol=1e-4)


def test_graddrop_keeps_entries_of_one_sign_and_draws_from_its_seed() -> None:
    jac, rule = jacobian(3, 3, 1.0, 0), rule_of("graddrop", 3, seed=1)
    kept = rule.combine(weigh(rule, jac), jac, torch.arange(3))
    positive, negative = jac.clamp_min(0).sum(0), jac.clamp_max(0).sum(0)
    assert (torch.isclose(kept, positive) | torch.isclose(kept, negative)).all()
    again = rule_of("graddrop", 3, seed=1)
    assert torch.equal(kept, again.combine(weigh(again, jac), jac, torch.arange(3)))


def test_gradvac_keeps_the_targets_of_pairs_that_a_batch_lacks() -> None:
    rule = rule_of("gradvac", 3)
    weigh(rule, jacobian(3, 3, 1.0, 0))
    before = rule.targets.clone()
    weigh(rule, jacobian(2, 2, 1.0, 1), present=torch.tensor([0, 2]))
    changed = (rule.targets != before).nonzero().tolist()
    assert changed == [[0, 2], [2, 0]]


def test_pcd_leaves_the_shared_parameters_where_the_primary_task_is_missing() -> None:
    assert weigh(rule_of("pcd", 3), jacobian(2, 2, 1.0, 0), present=torch.tensor([1, 2])).tolist() == [0.0, 0.0]


def test_modo_and_sdmgrad_share_the_mass_of_the_tasks_of_the_batch() -> None:
    for id in ("modo", "sdmgrad"):
        rule = rule_of(id, 4)
        weights = weigh(rule, jacobian(2, 2, 1.0, 0), present=torch.tensor([1, 3]))
        assert weights.sum().item() == pytest.approx(1.0, abs=1e-5)
        assert rule.mass[[0, 2]].tolist() == [0.25, 0.25]
        assert rule.mass.sum().item() == pytest.approx(1.0, abs=1e-5)


def test_options_are_the_arguments_of_torchjd() -> None:
    known = option.options_of(registry.weighting("mgda").Options)
    ours, everywhere = ("normalise", "none"), (("at", "auto"), ("every", 1))
    assert [(o.name, o.default) for o in known.values()] == [*everywhere, ("epsilon", 0.001), ("max_iters", 100), ours]
    assert known["max_iters"].help == "The maximum number of iterations of the optimization loop"
    assert option.options_of(registry.weighting("fairgrad").Options)["alpha"].default == 1.0
    assert "n_tasks" not in option.options_of(registry.weighting("nashmtl").Options)
    made = option.make(registry.weighting("alignedmtl").Options, {"pref_vector": ["1", "2"]}, "alignedmtl")
    assert made.pref_vector == (1.0, 2.0)


def test_preferences_go_with_their_tasks() -> None:
    full, part = rule_of("alignedmtl", 3, pref_vector=(1.0, 5.0, 2.0)), rule_of("alignedmtl", 2, pref_vector=(1.0, 2.0))
    jac = jacobian(2, 2, 1.0, 3)
    assert torch.equal(weigh(full, jac, present=torch.tensor([0, 2])), weigh(part, jac))
    with pytest.raises(OptionError, match="2 numbers for 3 tasks"):
        rule_of("alignedmtl", 3, pref_vector=(1.0, 2.0))


def test_values_that_torchjd_refuses_are_option_errors() -> None:
    with pytest.raises(OptionError, match="balancer 'mgda': epsilon must be positive"):
        rule_of("mgda", 2, epsilon=-1.0)


def test_a_missing_solver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchjd._mixins.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"balancer 'cagrad': .*cvxpy.*pip install 'polytask\[balance\]'"):
        rule_of("cagrad", 2)
    assert registry.balancers()["cagrad"].extra == "balance"
