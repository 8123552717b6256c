"""The replay: n-step returns against a loop, overwriting, ends and cuts, and resumption to the same bits."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from polytask.core import Batch, OptionError
from polytask.data.replay import Gymnasium, Memory, Replay, Step


class Counter:
    """Shows a serial number; pays it; ends after `length` steps, by termination or by truncation in turn."""

    shape, actions = (1, 2, 2), 1

    def __init__(self, length: int = 5) -> None:
        self.length, self.serial, self.episode, self.seeds = length, 0, -1, []

    def show(self) -> np.ndarray:
        return np.full(self.shape, self.serial % 256, np.uint8)

    def reset(self, seed: int) -> np.ndarray:
        self.seeds.append(seed)
        self.since, self.episode = 0, self.episode + 1
        self.serial += 1
        return self.show()

    def step(self, action: np.ndarray) -> Step:
        reward = float(self.serial) + float(action[0])
        self.serial += 1
        self.since += 1
        over = self.since == self.length
        return Step(self.show(), reward, over and self.episode % 2 == 0, over and self.episode % 2 == 1)


def still(observation: Tensor, generator: torch.Generator) -> Tensor:
    return torch.zeros(1, 1)


Episode = tuple[list[float], bool]


def filled(capacity: int, episodes: list[Episode]) -> tuple[Memory, list[tuple[int, list[float], bool, int]]]:
    """A memory of these rewards, and by observation: its number, the rewards that follow, the end, the last number."""
    memory, known, number = Memory(capacity, (1, 1, 1), 1), [], 0
    for rewards, terminated in episodes:
        last = number + len(rewards)
        for i, reward in enumerate(rewards):
            memory.observe(torch.full((1, 1, 1), number, dtype=torch.uint8))
            memory.act(torch.tensor([reward]), reward, terminated and i == len(rewards) - 1)
            known.append((number, rewards[i:], terminated, last))
            number += 1
        memory.observe(torch.full((1, 1, 1), number, dtype=torch.uint8))
        number += 1
    return memory, known


EPISODES = st.lists(
    st.tuples(st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=6), st.booleans()), min_size=1, max_size=8
)


@settings(max_examples=60, deadline=None)
@given(EPISODES, st.integers(1, 5), st.floats(0, 1), st.integers(2, 80))
def test_returns_equal_a_loop(episodes: list[Episode], steps: int, gamma: float, capacity: int) -> None:
    memory, known = filled(capacity, episodes)
    starts = memory.starts()
    kept = [entry for entry in known if entry[0] >= memory.count - capacity]
    assert len(starts) == len(kept)
    found = memory.transitions(starts, steps, gamma)
    for row, (number, rewards, terminated, last) in enumerate(kept):
        window = rewards[:steps]
        total = sum(gamma**k * reward for k, reward in enumerate(window))
        ended = terminated and len(rewards) <= steps
        assert int(found.observation[row]) == number
        assert int(found.next[row]) == min(number + steps, last)
        assert float(found.action[row]) == rewards[0]
        assert float(found.reward[row]) == pytest.approx(total, abs=1e-4)
        assert float(found.discount[row]) == pytest.approx(0.0 if ended else gamma ** len(window), abs=1e-6)


def replay(environment: Counter, seed: int = 0, steps: int = 12, **more: object) -> Replay:
    settings = {"explore": 7, "every": 2, "batch": 4, "capacity": 50, "n_step": 3, "gamma": 0.9}
    return Replay(environment, still, steps=steps, seed=seed, **(settings | more))


def test_an_epoch_acts_between_batches() -> None:
    source = replay(Counter())
    batches = list(source.epoch(0))
    assert len(batches) == len(source) == 6
    # 7 random and 12 own actions in episodes of 5: 2 + 3 episodes, each with a last observation of its own
    assert source.memory.count == 7 + 2 + 12 + 3
    assert batches[0].inputs.tensor("observation").shape == (4, 1, 2, 2)
    assert [batch.tasks for batch in source.epoch(1)] == [()] * 6
    assert source.memory.count == 7 + 2 + 2 * (12 + 3)


def test_only_whole_episodes_of_the_policy_are_reported() -> None:
    totals: list[float] = []
    list(replay(Counter(), finished=totals.append).epoch(0))
    assert len(totals) == 2, "the third of 2 actions is cut"
    totals.clear()
    list(replay(Counter(length=99), finished=totals.append).epoch(0))
    assert len(totals) == 1, "an episode that fills its epoch counts"


def test_truncation_is_no_termination() -> None:
    source = replay(Counter(), batch=400)
    found = list(source.epoch(0))[-1].inputs
    observation, discount = found.tensor("observation")[:, 0, 0, 0], found.tensor("discount")
    first_episode = observation < 6  # numbers 1 to 6, ends by termination
    second = (observation >= 7) & (observation < 12)
    assert set(discount[first_episode & (observation >= 3)].tolist()) == {0.0}
    assert second.any()
    assert (discount[second] > 0).all(), "a time limit hides no future"


def same(left: Iterator[Batch], right: Iterator[Batch]) -> None:
    for one, other in zip(left, right, strict=True):
        for name in one.inputs:
            assert torch.equal(one.inputs.tensor(name), other.inputs.tensor(name)), name


@pytest.mark.parametrize("capacity", [50, 23])
def test_a_resumed_replay_repeats_the_rest(capacity: int) -> None:
    def noisy(observation: Tensor, generator: torch.Generator) -> Tensor:
        return torch.rand(1, 1, generator=generator) * 2 - 1

    whole = replay(Counter(), capacity=capacity)
    whole.policy = noisy
    for number in range(2):
        list(whole.epoch(number))
    state = {name: value.clone() for name, value in whole.state_dict().items()}
    other = Counter()
    other.serial, other.episode = whole.environment.serial, whole.environment.episode
    resumed = replay(other, capacity=capacity)
    resumed.policy = noisy
    resumed.load_state_dict(state)
    same(whole.epoch(2), resumed.epoch(2))
    assert whole.environment.seeds[-3:] == other.seeds
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())


def test_seeds_and_epochs_differ() -> None:
    worlds = [Counter(), Counter()]
    for seed, world in enumerate(worlds):
        source = replay(world, seed)
        list(source.epoch(0)), list(source.epoch(1))
    assert not set(worlds[0].seeds) & set(worlds[1].seeds)
    assert len(set(worlds[0].seeds)) == len(worlds[0].seeds)


def test_gymnasium_of_pixels() -> None:
    gymnasium = pytest.importorskip("gymnasium")

    class Screen(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(0, 255, (6, 5, 3), np.uint8)
        action_space = gymnasium.spaces.Box(np.float32([0, -2]), np.float32([10, 2]))

        def reset(self, *, seed: int | None = None, options: object = None) -> tuple[np.ndarray, dict]:
            return np.full((6, 5, 3), 1, np.uint8), {}

        def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
            return np.full((6, 5, 3), 2, np.uint8), float(action[0] + 100 * action[1]), False, True, {}

    gymnasium.register("Screen-v0", Screen)
    world = Gymnasium("Screen-v0", stack=2)
    assert (world.shape, world.actions) == ((6, 6, 5), 2)
    assert np.array_equal(world.reset(0)[:, 0, 0], [1] * 6)
    step = world.step(np.array([0.0, 0.5]))
    assert np.array_equal(step.observation[:, 0, 0], [1, 1, 1, 2, 2, 2])
    assert (step.reward, step.terminated, step.truncated) == (5.0 + 100.0, False, True)
    with pytest.raises(OptionError, match="not as an image"):
        Gymnasium("Pendulum-v1")
    with pytest.raises(OptionError, match="environment"):
        Gymnasium("NoSuchWorld-v0")
