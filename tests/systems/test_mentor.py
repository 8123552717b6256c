"""MENTOR: its parts against definitions, its learning in an environment, its perturbation, and resumption."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.distributions import Normal

from polytask.balance import _balancer
from polytask.core import Batch, OptionError, Schema
from polytask.core.option import make
from polytask.data import replay
from polytask.data.worlds import pixel_control
from polytask.engine.loop import Loop
from polytask.engine.training import Training
from polytask.nn.drq import bounded_noise, expectile_loss, follow, orthogonal, random_shift
from polytask.nn.experts import StackedLinear
from polytask.systems.mentor_visual_rl import Mentor, Options

SMALL = {"channels": 2, "hidden": 8, "feature": 6, "experts": 3, "expert": 4, "gate": 4, "top": 2}
ONLINE = SMALL | {
    "environment": "pendulum", "steps": 8, "explore": 6, "every": 2, "replay_batch": 4, "interval": 5, "anneal": 50,
}  # fmt: skip
SCHEMA = Schema.parse({"inputs": {"pixels": "pixels 9 32 32"}, "tasks": {"pendulum": "control 1", "cart_pole": "control 1"}})


class Short(pixel_control.PixelControl):
    """Episodes of four actions."""

    def step(self, action: Any) -> replay.Step:
        found = super().step(action)
        return found._replace(truncated=self.copies.steps >= 4)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gymnasium")
    monkeypatch.setattr(pixel_control, "environment", lambda name, size, stack: Short(name, size, stack))


def mentor(seed: int = 0, **options: Any) -> Mentor:
    torch.manual_seed(seed)
    return Mentor.build(SCHEMA, make(Options, ONLINE | options, "system"))


def train(system: Mentor, epochs: int, folder: Path | None = None, stop: int | None = None) -> Loop:
    training = Training(
        epochs=epochs, lr=1e-3, weight_decay=0.0, average=0.0, steps=1, patience=1, threads=1, seed=3, save_every=0.0
    )
    rows = SCHEMA.example(4)

    def report(progress: Any, stage: Any, total: int) -> None:
        if progress.epoch == stop:
            raise KeyboardInterrupt

    source = next(iter(system.stages())).source
    balancer = _balancer.make("equal", list(system.tasks), {})
    loop = Loop(system, balancer, training, Fabric(accelerator="cpu", devices=1), source, rows, rows, folder, report)  # type: ignore[arg-type]
    loop.run()
    return loop


def transitions(system: Mentor, seed: int = 0) -> Batch:
    source = system.stages()[0].source
    assert source is not None
    return next(iter(source.epoch(seed)))


def test_shifts_are_crops_of_the_padded_image() -> None:
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (40, 3, 7, 9), dtype=torch.uint8)
    padded = nn.functional.pad(pixels.float(), (2, 2, 2, 2), mode="replicate").to(torch.uint8)
    moves = set()
    for before, after in zip(padded, random_shift(pixels, 2), strict=True):
        found = [(y, x) for y in range(5) for x in range(5) if torch.equal(before[:, y : y + 7, x : x + 9], after)]
        assert len(found) == 1
        moves.update(found)
    assert len(moves) > 15


def test_bounded_noise() -> None:
    torch.manual_seed(0)
    mean = torch.tensor([[0.0], [0.95]]).expand(2, 20_000).requires_grad_()
    noise = 0.2 * torch.randn_like(mean)
    action = bounded_noise(mean, noise, 0.3)
    assert action.abs().max() < 1
    assert (action - mean)[0].abs().max() <= 0.3 + 1e-6
    # the mean square of a normal clipped at c: its square within, c^2 in the tails
    cut, normal = torch.tensor(1.5), Normal(0.0, 1.0)
    inside = 1 - 2 * normal.cdf(-cut)
    square = inside - 2 * cut * normal.log_prob(cut).exp() + 2 * cut**2 * normal.cdf(-cut)
    assert float(action[0].detach().var()) == pytest.approx(0.04 * float(square), rel=0.03)
    (gradient,) = torch.autograd.grad(action.sum(), mean)
    assert torch.equal(gradient, torch.ones_like(gradient)), "bounded or not, the gradient passes"


def test_expectile_is_the_minimum() -> None:
    torch.manual_seed(0)
    target, value = torch.randn(4000), torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([value])
    for _ in range(5):

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = expectile_loss(value.expand(4000), target, 0.9)
            loss.backward()
            return loss

        optimizer.step(closure)
    e = float(value.detach())
    above, below = (target - e).clamp(min=0).mean(), (e - target).clamp(min=0).mean()
    assert 0.9 * float(above) == pytest.approx(0.1 * float(below), rel=1e-3)


def test_orthogonal_and_follow() -> None:
    for layer in (nn.Linear(5, 3), StackedLinear(2, 3, 3)):
        orthogonal(layer)
        weight = layer.weight.detach()
        for each in weight if weight.dim() == 3 else [weight]:
            torch.testing.assert_close(each @ each.T, torch.eye(3))
        assert not layer.bias.any()
    source, target = nn.Linear(2, 2), nn.Linear(2, 2)
    expected = 0.25 * source.weight + 0.75 * target.weight
    follow(target, source, 0.25)
    torch.testing.assert_close(target.weight, expected)


@pytest.mark.parametrize("dormancy", [0.0, 0.2, 1.0])
def test_schedules_of_dormancy(dormancy: float) -> None:
    learner = mentor().learner
    assert learner is not None
    learner.dormancy.fill_(dormancy)
    asleep = 0.8 / (1 + 2.718281828 ** (-10 * (dormancy - 0.2)))
    assert float(learner.deviation(50)) == pytest.approx(asleep, rel=1e-4)
    learner.awake.fill_(10.0)
    learner.acted.fill_(35.0)
    assert float(learner.deviation(50)) == pytest.approx(max(asleep, 1 - 0.9 * 0.5), rel=1e-4)


def test_losses_train_what_they_should() -> None:
    system = mentor(dropout=0.0).train()
    losses = system.rl_losses(transitions(system))
    assert set(losses) == {"critic", "value", "actor", "gate"}
    owners = {
        "critic": ("encoder.", "learner.critic."),
        "value": ("learner.value.",),
        "actor": ("actor.",),
        "gate": ("actor.",),
    }
    for loss, value in losses.items():
        system.zero_grad()
        value.backward(retain_graph=True)
        reached = {name for name, p in system.named_parameters() if p.grad is not None and bool(p.grad.any())}
        assert reached
        assert all(name.startswith(owners[loss]) for name in reached), (loss, reached)
    assert not [name for name, p in system.named_parameters() if name.startswith("learner.target") and p.requires_grad]


def test_the_target_bootstraps_from_critic_and_value() -> None:
    system = mentor(dropout=0.0, shift=0, exploit=1.0, reward_scale=2.0).train()
    assert system.learner is not None
    system._watch = lambda features: system.learner.dormancy.fill_(0.0)  # type: ignore[method-assign, union-attr]
    for net, value in ((system.learner.value, 5.0), (system.learner.target, -3.0), (system.learner.critic, 1.0)):
        for head in net.heads:
            nn.init.zeros_(head[-1].weight)
            nn.init.constant_(head[-1].bias, value)
    batch = transitions(system)
    share = 1 / (1 + 2.718281828**-10.0)
    target = 2 * batch.inputs.tensor("reward") + batch.inputs.tensor("discount") * (share * 5 - (1 - share) * 3)
    losses = system.rl_losses(batch)
    assert float(losses["critic"].detach()) == pytest.approx(2 * float(((1 - target) ** 2).mean()), rel=1e-4)
    assert float(losses["value"].detach()) == pytest.approx(0.1 * 16, rel=1e-4)
    assert float(losses["actor"].detach()) == pytest.approx(-1, rel=1e-4)


@pytest.mark.parametrize("how", ["top", "random"])
def test_perturbation_moves_experts_and_all_else_but_the_encoder(how: str) -> None:
    system = mentor(perturb=how)
    assert system.learner is not None
    system.learner.dormancy.fill_(0.25)
    with torch.no_grad():
        for parameter in system.parameters():
            parameter.add_(0.5)
    if how == "top":
        assert system.best is not None
        for score in range(3):
            system._finished(float(score))
            with torch.no_grad():
                for name, parameter in system.named_parameters():
                    if not name.startswith("encoder"):
                        parameter.add_(1.0)
        members = system.best.weights[:3].mean(0)
    before = {name: parameter.detach().clone() for name, parameter in system.named_parameters()}
    optimizer = torch.optim.AdamW(system.actor.parameters())
    optimizer.state[next(system.actor.parameters())] = {"step": torch.ones(())}
    system._after_update(optimizer, 4)
    assert optimizer.state
    system._after_update(optimizer, 5)
    assert not optimizer.state
    moved = {name for name, parameter in system.named_parameters() if not torch.equal(parameter, before[name])}
    assert {name for name in before if name.startswith("actor.middle")} <= moved, "experts and gate move"
    assert {"actor.heads.each.0.weight", "learner.critic.heads.0.0.weight", "learner.value.heads.0.0.weight"} <= moved
    assert any(name.startswith("learner.target") for name in moved)
    assert not any(name.startswith("encoder") for name in moved)
    if how == "top":
        after = torch.cat([dict(system.named_parameters())[name].detach().flatten() for name in system.best.names])
        old = torch.cat([before[name].flatten() for name in system.best.names])
        expected, deviation = 0.5 * old + 0.5 * members, 0.5 * system.best.weights[:3].std(0)
        actor = torch.cat([torch.full((before[n].numel(),), n.startswith("actor")) for n in system.best.names])
        assert float(((after - expected) / deviation)[actor].abs().max()) < 6, "a draw of the best agents' statistics"


def test_with_one_good_agent_the_perturbation_is_fresh() -> None:
    system = mentor()
    system._finished(1.0)
    system._perturb()
    assert all(parameter.isfinite().all() for parameter in system.parameters())


def test_learning_runs_and_scores_by_its_returns() -> None:
    system = mentor()
    loop = train(system, 3)
    assert loop.progress.steps == 12, "three epochs of four updates: it runs its whole length"
    assert {"loss/critic", "loss/actor", "loss/value", "loss/gate"} <= set(loop.progress.history[0])
    assert system.returns() == max(float(row["score"]) for row in loop.progress.history), "the best weights stay"
    assert mentor().returns() < -1e30, "no episode yet"


def test_a_killed_run_resumes_to_the_same_numbers(tmp_path: Path) -> None:
    whole = train(mentor(), 4)
    with pytest.raises(KeyboardInterrupt):
        train(mentor(), 4, tmp_path, stop=2)
    resumed = train(mentor(), 4, tmp_path)
    assert resumed.progress.steps == whole.progress.steps == 16
    for name, value in whole.system.state_dict().items():
        assert torch.equal(value.nan_to_num(), resumed.system.state_dict()[name].nan_to_num()), name
    scores = [[row["score"] for row in loop.progress.history] for loop in (whole, resumed)]
    assert scores[0] == scores[1]


def test_cloning_sees_the_gates_use_and_an_equal_perceptron() -> None:
    sizes = []
    for middle in ("moe", "mlp"):
        torch.manual_seed(0)
        system = Mentor.build(SCHEMA, make(Options, {"middle": middle}, "system")).eval()
        sizes.append(sum(parameter.numel() for parameter in system.actor.parameters()))
        tables = system.tables(SCHEMA.example(6))
        assert set(system.losses(SCHEMA.example(6))) == {"pendulum", "cart_pole"} | ({"gate"} if middle == "moe" else set())
        if middle == "moe":
            weights = tables["experts"].to_pandas()
            assert weights.shape == (6, 8)
            assert weights.sum(axis=1).to_numpy() == pytest.approx(1)
        else:
            assert not tables
    assert sizes[0] == pytest.approx(sizes[1], rel=0.01)


def test_other_inputs_tasks_and_worlds_are_refused() -> None:
    for inputs, tasks, problem in (
        ({"pixels": "pixels 9 32 32", "age": "number"}, {"y": "control 1"}, "one input, of kind pixels"),
        ({"pixels": "pixels 9 32 32"}, {"y": "binary"}, "of kind control"),
        ({"pixels": "pixels 9 32 14"}, {"y": "control 1"}, "32 x 14 pixels"),
    ):
        with pytest.raises(OptionError, match=problem):
            Mentor.build(Schema.parse({"inputs": inputs, "tasks": tasks}), Options())
    schema = Schema.parse({"inputs": {"pixels": "pixels 9 32 32"}, "tasks": {"y": "control 2"}})
    with pytest.raises(OptionError, match="takes 1 numbers"):
        Mentor.build(schema, make(Options, ONLINE, "system")).stages()
