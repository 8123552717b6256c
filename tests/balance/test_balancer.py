"""From losses to gradients: exactness, missing tasks, precision, accumulation, processes."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from _net import AT, TASKS, WAYS, Net, make, process, rows_of, rule_of
from torch import Tensor

from polytask.balance import _balancer
from polytask.core import OptionError, Update, registry
from polytask.testing.weightings import available


def plain(net: Net, rows: Tensor, weights: Mapping[str, float]) -> dict[str, Tensor]:
    """The gradients of the weighted sum of losses."""
    net.zero_grad()
    losses, _ = net(rows)
    torch.stack([weight * losses[task] for task, weight in weights.items()]).sum().backward()
    return net.gradients()


def jacobian_of(net: Net, rows: Tensor) -> Tensor:
    losses, _ = net(rows)
    parts = [torch.autograd.grad(losses[task], list(net.trunk.parameters()), retain_graph=True) for task in TASKS]
    return torch.stack([torch.cat([part.flatten() for part in each]) for each in parts])


@pytest.mark.parametrize("id", ["equal", "gls", "stch", "famo"])
def test_rules_on_losses_weigh_all_gradients(id: str) -> None:
    net, balancer = Net(), make(id)
    weights = balancer.step(net.update(rows_of()))
    got = net.gradients()
    expected = plain(net, rows_of(), dict(zip(TASKS, weights.tolist(), strict=True)))
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value)


@pytest.mark.parametrize("at", AT)
@pytest.mark.parametrize("id", ["mgda", "config", "gradnorm", "graddrop", "dbmtl"])
def test_own_parameters_get_their_tasks_plain_gradient(id: str, at: str) -> None:
    net, balancer = Net(), make(id, at)
    assert balancer.needs_representation == (at == "representation")
    balancer.step(net.update(rows_of()))
    got, expected = net.gradients(), plain(net, rows_of(), dict.fromkeys(TASKS, 1.0))
    for name, value in expected.items():
        if name.startswith("heads"):
            torch.testing.assert_close(got[name], value)


@pytest.mark.parametrize("id", ["mgda", "imtlg", "pcd", "trimmedmean"])
def test_at_the_parameters_is_the_naive_jacobian(id: str) -> None:
    net, rows, balancer, rule = Net(dtype=torch.float64), rows_of(dtype=torch.float64), make(id, "parameters"), rule_of(id, 3)
    jac, losses = jacobian_of(net, rows), torch.stack([loss.detach() for loss in net(rows)[0].values()])
    used = balancer.step(net.update(rows))
    weights = rule(losses, jac if rule.sees == "jacobian" else jac @ jac.T, torch.arange(3))
    expected = rule.combine(weights, jac, torch.arange(3))
    got = torch.cat([p.grad.flatten() for p in net.trunk.parameters() if p.grad is not None])
    torch.testing.assert_close(used, weights.float())
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("at", AT)
@pytest.mark.parametrize("id", ["mgda", "imtlg"])
def test_the_trunk_gets_the_weighted_gradient(id: str, at: str) -> None:
    net, balancer = Net(), make(id, at)
    weights = balancer.step(net.update(rows_of()))
    got = net.gradients()
    expected = plain(net, rows_of(), dict(zip(TASKS, weights.tolist(), strict=True)))
    for name in ("trunk.weight", "trunk.bias"):
        torch.testing.assert_close(got[name], expected[name], rtol=1e-4, atol=1e-6)


def test_both_ways_agree_where_rows_are_orthonormal() -> None:
    """A linear trunk on orthonormal rows: its parameters and its outputs have the same Gramian."""
    rows = torch.linalg.qr(rows_of(6)).Q
    found = {}
    for at in AT:
        net = Net(bias=False)
        found[at] = make("imtlg", at).step(net.update(rows)), net.gradients()
    torch.testing.assert_close(found[AT[0]][0], found[AT[1]][0], rtol=1e-3, atol=1e-4)
    for name, value in found[AT[0]][1].items():
        torch.testing.assert_close(value, found[AT[1]][1][name], rtol=1e-3, atol=1e-4)


def test_auto_is_the_representation_where_there_is_one() -> None:
    net = Net()
    named, unnamed = net.update(rows_of()), Update(net(rows_of())[0], list(net.trunk.parameters()), own={})
    assert torch.equal(make("imtlg").step(named), make("imtlg", "representation").step(net.update(rows_of())))
    assert torch.equal(make("imtlg").step(unnamed), make("imtlg", "parameters").step(net.update(rows_of())))
    with pytest.raises(OptionError, match="names no shared representation"):
        make("imtlg", "representation").step(Update(net(rows_of())[0], list(net.trunk.parameters()), own={}))


@pytest.mark.parametrize("id", available())
def test_a_task_that_the_batch_lacks_has_no_weight_and_no_gradient(id: str) -> None:
    for at in AT:
        net, balancer = Net(), make(id, at)
        for present in (("a", "c"), ("a",), TASKS, ("c",)):
            net.zero_grad()
            balancer.zero_grad()
            weights = balancer.step(net.update(rows_of(), present))
            balancer.observe(net.update(rows_of(seed=1), present).losses)
            got = net.gradients()
            for k, task in enumerate(TASKS):
                assert (task in present) or weights[k] == 0
                assert (task in present) == bool(got[f"heads.{task}.weight"].any())
            assert all(value.isfinite().all() for value in got.values())


@pytest.mark.parametrize("at", AT)
@pytest.mark.parametrize("id", ["equal", "uncertainty", "mgda", "graddrop"])
def test_gradients_accumulate_and_hooks_fire_once(id: str, at: str) -> None:
    net, balancer, fired = Net(), make(id, at), []
    for name, parameter in net.named_parameters():
        parameter.register_post_accumulate_grad_hook(lambda _, name=name: fired.append(name))
    balancer.step(net.update(rows_of()))
    assert sorted(fired) == sorted(dict(net.named_parameters()))
    state = {name: value.clone() for name, value in balancer.state_dict().items()}
    first, learnt = net.gradients(), [p.grad.clone() for p in balancer.parameters() if p.grad is not None]
    balancer.step(net.update(rows_of(seed=1)))
    both = net.gradients()
    net.zero_grad()
    fresh = make(id, at)
    fresh.load_state_dict(state)
    fresh.step(net.update(rows_of(seed=1)))
    for name, value in net.gradients().items():
        torch.testing.assert_close(both[name], first[name] + value)
    for one, own, new in zip(learnt, balancer.parameters(), fresh.parameters(), strict=True):
        torch.testing.assert_close(own.grad, one + new.grad)


def test_auxiliary_objectives_have_weight_one_and_stay_outside_the_rule() -> None:
    for id in ("fixed", "mgda"):
        net = Net()
        balancer = make(id, "parameters", **({"weights": (2.0, 0.0, 0.0)} if id == "fixed" else {}))
        update = net.update(rows_of())
        without = balancer.step(update)
        before = net.gradients()
        net.zero_grad()
        update = net.update(rows_of())
        extra = (net.trunk.weight**2).sum()
        weights = balancer.step(Update({**update.losses, "decay": extra}, update.shared, own=update.own))
        assert torch.equal(weights, without)
        torch.testing.assert_close(net.trunk.weight.grad, before["trunk.weight"] + 2 * net.trunk.weight.detach())


@pytest.mark.parametrize("at", AT)
@pytest.mark.parametrize("id", ["uncertainty", "mgda", "imtlg"])
def test_the_loss_scale_of_half_precision_is_left_in_the_gradients(id: str, at: str) -> None:
    found = []
    for scale in (1.0, 1024.0):
        net, balancer = Net(), make(id, at)
        weights = balancer.step(
            net.update(rows_of(), scale=scale, backward=lambda loss, scale=scale: (loss * scale).backward())
        )
        learnt = [p.grad / scale for p in balancer.parameters() if p.grad is not None]
        found.append([weights, *(g / scale for g in net.gradients().values()), *learnt])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("at", AT)
def test_small_gradients_survive_half_precision(at: str) -> None:
    """Of a 16-bit float anything below 6e-8 is lost, unless it is scaled in time."""
    net, balancer, scale = Net(dtype=torch.float16), make("imtlg", at), 2.0**20
    update = net.update(rows_of(dtype=torch.float16), scale=scale, backward=lambda loss: (loss * scale).backward())
    tiny = {task: loss.float() * 1e-9 for task, loss in update.losses.items()}
    update = Update(tiny, update.shared, update.representation, scale, update.backward, own=update.own)
    weights = balancer.step(update)
    assert weights.isfinite().all()
    assert not torch.equal(weights, torch.full((3,), 1 / 3))
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in net.parameters())


@pytest.mark.parametrize("at", AT)
@pytest.mark.parametrize("id", ["equal", "gradnorm", "mgda", "dbmtl", "graddrop"])
def test_bfloat16_autocast(id: str, at: str) -> None:
    net, balancer = Net(), make(id, at)
    with torch.autocast("cpu", torch.bfloat16):
        losses, hidden = net(rows_of())
        assert hidden.dtype == torch.bfloat16
        own = {task: list(head.parameters()) for task, head in net.heads.items()}
        weights = balancer.step(Update(losses, list(net.trunk.parameters()), hidden, own=own))
    assert weights.dtype == torch.float32
    got = net.gradients()
    expected = plain(net, rows_of(), dict(zip(TASKS, weights.tolist(), strict=True)))
    if id not in ("graddrop", "dbmtl"):
        torch.testing.assert_close(got["trunk.weight"], expected["trunk.weight"], rtol=0.05, atol=0.05)


@pytest.mark.parametrize("at", AT)
def test_an_overflow_reaches_the_gradients_but_not_the_state(at: str) -> None:
    net, balancer = Net(), make("gradnorm", at)
    balancer.step(net.update(rows_of()))
    before = {name: value.clone() for name, value in balancer.state_dict().items()}
    update = net.update(rows_of(), scale=float("inf"))
    balancer.step(update)
    assert not net.gradients()["trunk.weight"].isfinite().all()
    assert all(torch.equal(value, before[name]) for name, value in balancer.state_dict().items())


def test_without_shared_parameters_every_task_learns_alone() -> None:
    net, balancer = Net(), make("mgda", "parameters")
    update = net.update(rows_of())
    balancer.step(Update(update.losses, [], own=update.own))
    assert all(p.grad is None for p in net.trunk.parameters())
    assert all(p.grad is not None for p in net.heads.parameters())


@pytest.mark.parametrize("id", ["equal", "mgda"])
def test_a_batch_without_labels_changes_nothing(id: str) -> None:
    net, balancer = Net(), make(id)
    assert balancer.step(net.update(rows_of(), ())).tolist() == [0.0, 0.0, 0.0]
    assert all(p.grad is None for p in net.parameters())


def test_frozen_parameters_are_left_alone() -> None:
    net, balancer = Net(), make("mgda", "parameters")
    net.trunk.bias.requires_grad_(False)
    net.heads["a"].requires_grad_(False)
    balancer.step(net.update(rows_of()))
    assert net.trunk.bias.grad is None
    assert net.heads["a"].weight.grad is None
    assert net.trunk.weight.grad is not None


@pytest.mark.parametrize("at", AT)
def test_between_two_looks_the_weights_are_kept(at: str) -> None:
    net, balancer, kept = Net(), make("imtlg", at), make("imtlg", at, every=3)
    first = kept.step(net.update(rows_of()))
    torch.testing.assert_close(first, balancer.step(net.update(rows_of())))
    for seed in (1, 2):
        net.zero_grad()
        assert torch.equal(kept.step(net.update(rows_of(seed=seed))), first)
        got, expected = net.gradients(), plain(net, rows_of(seed=seed), dict(zip(TASKS, first.tolist(), strict=True)))
        alone = plain(net, rows_of(seed=seed), dict.fromkeys(TASKS, 1.0))
        for name, value in got.items():
            torch.testing.assert_close(value, (alone if name.startswith("heads") else expected)[name], rtol=1e-4, atol=1e-6)
    again = kept.step(net.update(rows_of(seed=3)))
    torch.testing.assert_close(again, balancer.step(net.update(rows_of(seed=3))))
    kept.step(net.update(rows_of(seed=4)))
    kept.start_epoch(1)
    torch.testing.assert_close(kept.step(net.update(rows_of(seed=5))), balancer.step(net.update(rows_of(seed=5))))


def test_a_task_that_the_last_look_lacked_gets_the_mean_of_the_weights() -> None:
    net, balancer = Net(), make("imtlg", "parameters", every=2)
    first = balancer.step(net.update(rows_of(), ("a", "b")))
    second = balancer.step(net.update(rows_of(seed=1)))
    torch.testing.assert_close(second, torch.stack([first[0], first[1], first[:2].mean()]))


def test_weights_of_an_overflow_are_not_kept() -> None:
    net, balancer = Net(), make("imtlg", "parameters", every=5)
    balancer.step(net.update(rows_of(), scale=float("inf")))
    net.zero_grad()
    torch.testing.assert_close(balancer.step(net.update(rows_of())), make("imtlg", "parameters").step(net.update(rows_of())))


def test_a_rule_that_mixes_gradients_cannot_keep_weights() -> None:
    with pytest.raises(OptionError, match=r"graddrop.every: .*no weights to keep"):
        make("graddrop", every=2)


def test_options_are_checked_all_at_once() -> None:
    defaults = {"epsilon": 0.001, "max_iters": 100, "normalise": "none"}
    assert _balancer.options("mgda", {"at": "parameters"}) == {"at": "parameters", "every": 1, **defaults}
    with pytest.raises(OptionError, match=r"(?s)mgda.att: unknown option. Did you mean 'at'.*mgda.max_iters: must be int"):
        _balancer.options("mgda", {"att": "parameters", "max_iters": "many"})


def test_two_processes_find_what_one_finds(tmp_path: Path) -> None:
    other = torch.multiprocessing.get_context("spawn").Process(target=process, args=(1, str(tmp_path)))
    other.start()
    process(0, str(tmp_path))
    other.join()
    assert other.exitcode == 0
    one, two = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    for (id, way, case), (weights, gradients) in one.items():
        assert torch.equal(weights, two[id, way, case][0])
        assert (weights != 0).all()
        if case == "all":
            net, balancer = Net(), make(id, WAYS[way], **({"seed": 1} if id == "pcgrad" else {}))
            torch.testing.assert_close(weights, balancer.step(net.update(rows_of(8))), rtol=1e-3, atol=1e-4)
            for name, value in net.gradients().items():
                torch.testing.assert_close(gradients[name], value, rtol=1e-3, atol=1e-4)
        else:  # whichever way it is got
            same = one[id, "parameters" if WAYS[way] == "parameters" else "representation", case]
            torch.testing.assert_close(weights, same[0], rtol=1e-3, atol=1e-4)
            for name, value in same[1].items():
                torch.testing.assert_close(gradients[name], value, rtol=1e-3, atol=1e-4)


def test_every_balancer_states_its_card() -> None:
    cards = registry.balancers()
    assert {"equal", "fixed", "uncertainty", "mgda", "pcgrad", "nashmtl", "dbmtl"} <= set(cards)
    for id, card in cards.items():
        assert card.kind in ("losses", "gradients")
        assert card.paper.startswith("https://") or id in ("equal", "fixed")
