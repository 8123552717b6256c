"""Task-based flat regions against naive sharpness-aware steps, closed forms and the rules that it wraps."""

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from _net import TASKS, Net, rows_of
from torch import Tensor, nn

from polytask.balance import _balancer
from polytask.core import Balancer, OptionError, Update
from polytask.core.option import parse_settings

RULES = ("equal", "mgda", "pcgrad", "cagrad", "imtlg")


def make(rule: str = "equal", **values: object) -> Balancer:
    return _balancer.make("flat_mtl_sam", TASKS, {"rule": rule, **values})


def update_of(net: Net, rows: Tensor, tasks: tuple[str, ...] = TASKS, **others: object) -> Update:
    def again(representation: Tensor | None) -> dict[str, Tensor]:
        return {task: loss for task, loss in net(rows, representation)[0].items() if task in tasks}

    return net.update(rows, tasks, again=again, **others)


def step(balancer: Balancer, net: Net, rows: Tensor, tasks: tuple[str, ...] = TASKS, **others: object) -> dict[str, Tensor]:
    net.zero_grad()
    balancer.step(update_of(net, rows, tasks, **others))
    return net.gradients()


def close(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], **tolerance: float) -> None:
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, **tolerance, msg=lambda text, name=name: f"{name}: {text}")


def parts(net: Net, task: str) -> list[str]:
    return [name for name, _ in net.named_parameters() if name.startswith(("trunk", f"heads.{task}."))]


def naive(net: Net, rows: Tensor, task: str, rho: float, adaptive: bool) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The gradients of one task here and uphill, as (adaptive) SAM takes them for that task alone: on a copy of the net."""
    names, found = parts(net, task), []
    copy = Net(dtype=rows.dtype)
    copy.load_state_dict(net.state_dict())
    for _ in range(2):
        copy.zero_grad()
        copy(rows)[0][task].backward()
        gradient = copy.gradients()
        found.append(gradient)
        weights = dict(copy.named_parameters())
        scale = {name: weights[name].detach().abs() if adaptive else torch.ones_like(weights[name]) for name in names}
        norm = sum(((scale[name] * gradient[name]) ** 2).sum() for name in names) ** 0.5
        with torch.no_grad():
            for name in names:
                weights[name] += rho * scale[name] ** 2 * gradient[name] / norm
    return found[0], found[1]


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("split", [False, True])
def test_with_equal_weights_it_is_sam_task_by_task(adaptive: bool, split: bool) -> None:
    net, rows = Net(dtype=torch.float64), rows_of(dtype=torch.float64)
    got = step(make(rho=0.3, adaptive=adaptive, split=split), net, rows)
    uphill = {task: naive(net, rows, task, 0.3, adaptive)[1] for task in TASKS}
    close(got, {name: sum(uphill[task][name] for task in TASKS) for name in ("trunk.weight", "trunk.bias")})
    close(got, {f"heads.{task}.weight": uphill[task][f"heads.{task}.weight"] for task in TASKS})
    plain = step(_balancer.make("equal", TASKS), net, rows)
    assert not torch.allclose(got["trunk.weight"], plain["trunk.weight"], rtol=1e-2)


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("rule", ["mgda", "imtlg", "cagrad"])
def test_gradients_and_their_change_are_aggregated_apart(rule: str, split: bool) -> None:
    net, rows = Net(dtype=torch.float64), rows_of(dtype=torch.float64)
    got = step(make(rule, rho=0.5, split=split), net, rows)
    pairs = [naive(net, rows, task, 0.5, False) for task in TASKS]
    g, p = (
        torch.stack([torch.cat([each[n].flatten() for n in ("trunk.weight", "trunk.bias")]) for each in points])
        for points in zip(*pairs, strict=True)
    )

    def aggregate(jacobian: Tensor) -> Tensor:
        wrapped = _balancer.make(rule, TASKS).rule(torch.ones(3, dtype=torch.float64), jacobian @ jacobian.T, torch.arange(3))
        return wrapped @ jacobian

    expected = aggregate(g) + aggregate(p - g) if split else aggregate(p)
    found = torch.cat([got["trunk.weight"].flatten(), got["trunk.bias"]])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-8)
    assert not torch.allclose(aggregate(g) + aggregate(p - g), aggregate(p), rtol=1e-3)


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_without_a_way_uphill_it_is_the_rule(rule: str, adaptive: bool) -> None:
    given = {"seed": 3} if rule == "pcgrad" else {}
    for rho, tolerance in ((0.0, 1e-12), (1e-7, 1e-4)):
        net, rows = Net(dtype=torch.float64), rows_of(dtype=torch.float64)
        got = step(make(rule, rho=rho, adaptive=adaptive, given=given), net, rows)
        at = {} if rule == "equal" else {"at": "parameters"}
        expected = step(_balancer.make(rule, TASKS, at | given), net, rows)
        close(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("rule", ["equal", "mgda"])
def test_at_the_representation_the_features_go_uphill(rule: str, adaptive: bool) -> None:
    net, rows, rho = Net(dtype=torch.float64), rows_of(dtype=torch.float64), 0.3
    got = step(make(rule, rho=rho, at="representation", adaptive=adaptive), net, rows)
    copy, g, p = Net(dtype=torch.float64), [], []
    for task in TASKS:
        hidden, head = net.trunk(rows).detach().requires_grad_(), copy.heads[task]
        here = torch.autograd.grad(copy(rows, hidden)[0][task], [hidden, *head.parameters()])
        scales = [x.detach().abs() if adaptive else torch.ones_like(x) for x in (hidden, *head.parameters())]
        uphill = rho * scales[0] ** 2 * here[0] / ((scales[0] * here[0]).square().sum() / len(rows)).sqrt()
        norm = sum((s * x).square().sum() for s, x in zip(scales[1:], here[1:], strict=True)) ** 0.5
        with torch.no_grad():
            for parameter, scale, gradient in zip(head.parameters(), scales[1:], here[1:], strict=True):
                parameter += rho * scale**2 * gradient / norm
        there = (hidden + uphill).detach().requires_grad_()
        found = torch.autograd.grad(copy(rows, there)[0][task], [there, *head.parameters()])
        g.append(here[0].flatten())
        p.append(found[0].flatten())
        torch.testing.assert_close(got[f"heads.{task}.weight"], found[1])

    def aggregate(jacobian: Tensor) -> Tensor:
        wrapped = _balancer.make(rule, TASKS).rule(torch.ones(3, dtype=torch.float64), jacobian @ jacobian.T, torch.arange(3))
        return wrapped @ jacobian

    here, there = torch.stack(g), torch.stack(p)
    balanced = aggregate(here) + aggregate(there - here) if rule == "mgda" else there.sum(0)
    hidden = net.trunk(rows)
    expected = torch.autograd.grad(hidden, net.trunk.weight, balanced.view_as(hidden))[0]
    torch.testing.assert_close(got["trunk.weight"], expected, rtol=1e-5, atol=1e-8)


class Bowls(nn.Module):
    """Losses a^2/2 + b^2/2 and 2 a^2 + c^2/2 of a shared number a and each task's own b and c."""

    def __init__(self, a: float, b: float, c: float) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Parameter(torch.tensor([x], dtype=torch.float64)) for x in (a, b, c))

    def losses(self, representation: None = None) -> dict[str, Tensor]:
        one, two = (self.a**2 + self.b**2).sum() / 2, 2 * (self.a**2).sum() + (self.c**2).sum() / 2
        return {"one": one, "two": two}


@pytest.mark.parametrize("adaptive", [False, True])
def test_bowls_have_a_closed_form(adaptive: bool) -> None:
    a, b, c, rho = 0.6, -0.8, 0.5, 0.1
    bowls = Bowls(a, b, c)
    balancer = _balancer.make("flat_mtl_sam", ("one", "two"), {"rho": rho, "adaptive": adaptive})
    balancer.step(Update(bowls.losses(), [bowls.a], own={"one": [bowls.b], "two": [bowls.c]}, again=bowls.losses))
    if adaptive:
        norm_one, norm_two = (a**4 + b**4) ** 0.5, (16 * a**4 + c**4) ** 0.5
        up_one, up_b, up_two, up_c = (
            rho * a**3 / norm_one,
            rho * b**3 / norm_one,
            4 * rho * a**3 / norm_two,
            rho * c**3 / norm_two,
        )
    else:
        norm_one, norm_two = (a**2 + b**2) ** 0.5, (16 * a**2 + c**2) ** 0.5
        up_one, up_b, up_two, up_c = rho * a / norm_one, rho * b / norm_one, 4 * rho * a / norm_two, rho * c / norm_two
    found = [parameter.grad.item() for parameter in bowls.parameters()]
    assert found == pytest.approx([(a + up_one) + 4 * (a + up_two), b + up_b, c + up_c])
    assert [parameter.item() for parameter in bowls.parameters()] == [a, b, c]


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_weights_come_back_to_the_bit(adaptive: bool, dtype: torch.dtype) -> None:
    net, rows, seen = Net(dtype=dtype), rows_of(dtype=dtype), []
    before = {name: value.clone() for name, value in net.state_dict().items()}

    def again(representation: Tensor | None) -> dict[str, Tensor]:
        seen.append({name: not torch.equal(value, before[name]) for name, value in net.state_dict().items()})
        return net(rows)[0]

    make("pcgrad", rho=3.0, adaptive=adaptive).step(net.update(rows, again=again))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    for task, moved in zip(TASKS, seen, strict=True):
        assert {name for name, has in moved.items() if has} == set(parts(net, task))


def test_the_weights_come_back_when_something_fails() -> None:
    net, rows = Net(), rows_of()
    before = {name: value.clone() for name, value in net.state_dict().items()}

    def broken(representation: Tensor | None) -> dict[str, Tensor]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(rho=3.0).step(net.update(rows, again=broken))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    with pytest.raises(OptionError, match="needs the losses again"):
        make().step(net.update(rows))


@pytest.mark.parametrize("rule", [*RULES, "uncertainty", "famo", "gradnorm", "graddrop", "dbmtl", "gradvac", "excessmtl"])
def test_every_rule_runs_on_batches_that_lack_tasks(rule: str) -> None:
    net, balancer = Net(), make(rule, rho=0.1)
    for number, present in enumerate((("a", "c"), ("b",), TASKS, ())):
        balancer.start_epoch(number)
        net.zero_grad()
        update = update_of(net, rows_of(seed=number), present)
        weights = balancer.step(update)
        balancer.observe(update.losses)
        got = net.gradients()
        assert [bool(weight) for weight in weights] == [task in present for task in TASKS]
        for task in TASKS:
            assert (task in present) == bool(got[f"heads.{task}.weight"].any())
        assert all(value.isfinite().all() for value in got.values())


def test_a_rule_on_losses_weighs_heads_too() -> None:
    net, rows = Net(dtype=torch.float64), rows_of(dtype=torch.float64)
    got = step(make("fixed", rho=0.3, given={"weights": {"a": 2.0, "b": 0.0}}), net, rows)
    uphill = {task: naive(net, rows, task, 0.3, False)[1] for task in TASKS}
    close(got, {"trunk.weight": 2 * uphill["a"]["trunk.weight"] + uphill["c"]["trunk.weight"]})
    close(got, {"heads.a.weight": 2 * uphill["a"]["heads.a.weight"], "heads.b.weight": 0 * uphill["b"]["heads.b.weight"]})


def test_other_objectives_have_weight_one_and_are_not_perturbed() -> None:
    net, rows, balancer = Net(dtype=torch.float64), rows_of(dtype=torch.float64), make("mgda", rho=0.3)
    without = step(balancer, net, rows)
    net.zero_grad()
    update = update_of(net, rows)
    extra = {**update.losses, "decay": (net.trunk.weight**4).sum()}
    balancer.step(Update(extra, update.shared, own=update.own, again=update.again))
    torch.testing.assert_close(net.trunk.weight.grad, without["trunk.weight"] + 4 * net.trunk.weight.detach() ** 3)


def test_draws_follow_from_the_seed_and_the_state_is_all_there_is() -> None:
    def runs(balancer: Balancer, epochs: range) -> Iterator[Tensor]:
        for number in epochs:
            yield step(balancer, Net(), rows_of(seed=number))["trunk.weight"]

    first, same = (make("pcgrad", rho=0.5, given={"seed": 7}) for _ in range(2))
    for one, other in zip(runs(first, range(3)), runs(same, range(3)), strict=True):
        assert torch.equal(one, other)
    for rule in ("pcgrad", "gradvac", "dbmtl"):
        first, resumed = make(rule, rho=0.5), make(rule, rho=0.5)
        list(runs(first, range(3)))
        resumed.load_state_dict({name: value.clone() for name, value in first.state_dict().items()})
        for one, other in zip(runs(first, range(3, 6)), runs(resumed, range(3, 6)), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("rule", ["equal", "imtlg"])
def test_the_loss_scale_of_half_precision_is_left_in_the_gradients(rule: str) -> None:
    net, rows, scale = Net(), rows_of(), 1024.0
    plain = step(make(rule, rho=0.3), net, rows)
    scaled = step(make(rule, rho=0.3), net, rows, scale=scale, backward=lambda loss: (loss * scale).backward())
    close({name: value / scale for name, value in scaled.items()}, plain)


@pytest.mark.parametrize("uphill", [False, True])
def test_an_overflow_reaches_the_gradients_but_not_the_state(uphill: bool) -> None:
    net, balancer = Net(), make("dbmtl", rho=0.3, given={"beta": 0.5})
    step(balancer, net, rows_of())
    before = {name: value.clone() for name, value in balancer.state_dict().items()}
    weights = net.trunk.weight.detach().clone()
    update = update_of(net, rows_of(), **({} if uphill else {"scale": float("inf")}))
    if uphill:
        update = replace(
            update, again=lambda representation: {task: loss * float("inf") for task, loss in net(rows_of())[0].items()}
        )
    net.zero_grad()
    balancer.step(update)
    assert not net.gradients()["trunk.weight"].isfinite().all()
    assert torch.equal(net.trunk.weight, weights)
    assert all(torch.equal(value, before[name]) for name, value in balancer.state_dict().items())


def test_the_change_uphill_has_a_rule_of_its_own() -> None:
    net, rows, given = Net(), rows_of(), {"seed": 1}
    balancer, alone = make("gradvac", rho=0.5, given=given), _balancer.make("gradvac", TASKS, {"at": "parameters", **given})
    for _ in range(2):
        step(balancer, net, rows)
        step(alone, net, rows)
    assert all(torch.equal(value, balancer.state_dict()[name]) for name, value in alone.state_dict().items())
    assert not torch.equal(balancer.flat.targets, balancer.rule.targets)


@pytest.mark.parametrize("at", ["parameters", "representation"])
@pytest.mark.parametrize("rule", ["equal", "imtlg"])
def test_two_processes_find_what_one_finds(rule: str, at: str) -> None:
    """Two threads stand for the processes; each has its half of the rows and its own copy of the net."""
    rows, barrier = rows_of(8, dtype=torch.float64), threading.Barrier(2, timeout=30)
    slots: list[Tensor] = [torch.empty(0)] * 2
    nets = [Net(dtype=torch.float64) for _ in range(2)]

    def run(rank: int) -> dict[str, Tensor]:
        def mean(tensor: Tensor) -> Tensor:
            slots[rank] = tensor.clone()
            barrier.wait()
            whole = (slots[0] + slots[1]) / 2
            barrier.wait()
            return whole

        return step(make(rule, rho=0.3, at=at), nets[rank], rows[4 * rank : 4 * rank + 4], reduce=mean)

    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(run, range(2))
    whole = step(make(rule, rho=0.3, at=at), Net(dtype=torch.float64), rows)
    close({name: (one[name] + two[name]) / 2 for name in one}, whole, rtol=1e-6, atol=1e-8)


def test_options_come_as_the_command_line_gives_them_and_mistakes_are_named() -> None:
    values = parse_settings(["rule=cagrad", "given.c=0.2", "rho=0.5", "adaptive=true"])
    balancer = _balancer.make("flat_mtl_sam", TASKS, values)
    assert balancer.rule.values["c"] == 0.2
    assert _balancer.options("flat_mtl_sam", values)["adaptive"] is True
    with pytest.raises(OptionError, match=r"unknown name 'pcgrd'\. Did you mean 'pcgrad'"):
        make("pcgrd")
    with pytest.raises(OptionError, match="'flat_mtl_sam' is no rule"):
        make("flat_mtl_sam")
    with pytest.raises(OptionError, match="gradients are taken at = 'parameters'"):
        make("mgda", given={"at": "representation"})
    with pytest.raises(OptionError, match=r"flat_mtl_sam\.given\.cc: unknown option"):
        make("cagrad", given={"cc": 1})
