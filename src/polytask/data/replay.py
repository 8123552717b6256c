"""An environment behind a source: it acts, remembers, and yields batches of n-step transitions."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from polytask.core import Batch, Columns, MissingExtra, OptionError, Source

from .sample import keyed

Frames = UInt8[np.ndarray, "channels height width"]
Policy = Callable[[UInt8[Tensor, "one channels height width"], torch.Generator], Float[Tensor, "one actions"]]
"""From one observation to one action in [-1, 1]; what is random in it is drawn from the generator."""


class Step(NamedTuple):
    """What an action led to. `terminated`: nothing follows; `truncated`: the episode stops, but more would follow."""

    observation: Frames
    reward: float
    terminated: bool
    truncated: bool


@runtime_checkable
class Environment(Protocol):
    """A world that is seen as pixels and acted upon by numbers in [-1, 1]."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels (stacked frames), height and width of an observation."""

    @property
    def actions(self) -> int:
        """How many numbers an action has."""

    def reset(self, seed: int) -> Frames:
        """Start an episode that the seed determines; its first observation."""

    def step(self, action: Float[np.ndarray, "actions"]) -> Step:
        """Act once (with the environment's own action repeat)."""


class Transitions(NamedTuple):
    """n-step transitions: `reward` is the discounted sum, `discount` what the value of `next` counts (0 after an end)."""

    observation: UInt8[Tensor, "batch channels height width"]
    action: Float[Tensor, "batch actions"]
    reward: Float[Tensor, "batch"]
    discount: Float[Tensor, "batch"]
    next: UInt8[Tensor, "batch channels height width"]


class Memory:
    """The last `capacity` observations as whole tensors, the oldest overwritten.

    A slot holds an observation and what was done there; the last observation of an episode has a slot of its own, in which
    nothing is done. Windows are cut at the last observation of their episode, from where they bootstrap: over a truncation as
    anywhere, over a termination with a discount of 0.
    """

    def __init__(self, capacity: int, shape: tuple[int, int, int], actions: int) -> None:
        self.frames = torch.empty(capacity, *shape, dtype=torch.uint8)
        self.action = torch.zeros(capacity, actions)
        self.reward = torch.zeros(capacity)
        self.ended = torch.zeros(capacity, dtype=torch.bool)
        self.last = torch.ones(capacity, dtype=torch.bool)
        self.capacity, self.count = capacity, 0

    @property
    def size(self) -> int:
        """Slots in use."""
        return min(self.count, self.capacity)

    def observe(self, observation: UInt8[Tensor, "channels height width"]) -> None:
        """Take the next observation; until something is done there it counts as its episode's last."""
        slot = self.count % self.capacity
        self.frames[slot], self.last[slot], self.ended[slot] = observation, True, False
        self.count += 1

    def act(self, action: Float[Tensor, "actions"], reward: float, terminated: bool) -> None:
        """What was done at the newest observation, and what it gave."""
        slot = (self.count - 1) % self.capacity
        self.action[slot], self.reward[slot], self.ended[slot], self.last[slot] = action, reward, terminated, False

    def starts(self) -> Int[Tensor, "starts"]:
        """The ages (0: oldest) of all observations at which something was done."""
        return (~self.last[self._slots(torch.arange(self.size))]).nonzero()[:, 0]

    def _slots(self, ages: Int[Tensor, "*ages"]) -> Int[Tensor, "*ages"]:
        return (self.count - self.size + ages) % self.capacity

    def transitions(self, ages: Int[Tensor, "batch"], steps: int, gamma: float) -> Transitions:
        """The transitions over at most `steps` steps that begin at these ages."""
        window = self._slots((ages[:, None] + torch.arange(steps)).clamp(max=self.size - 1))
        alive = (~self.last[window]).cumprod(1)  # 1 until the episode's last observation
        powers = gamma ** torch.arange(steps)
        reward = (self.reward[window] * alive * powers).sum(1)
        length = alive.sum(1)
        ended = (self.ended[window] * alive).any(1)
        discount = torch.where(ended, 0.0, gamma**length)
        first, after = self._slots(ages), self._slots(ages + length)
        return Transitions(self.frames[first], self.action[first], reward, discount, self.frames[after])

    def sample(self, batch: int, steps: int, gamma: float, generator: torch.Generator) -> Transitions:
        """A batch drawn with replacement."""
        starts = self.starts()
        return self.transitions(starts[torch.randint(len(starts), (batch,), generator=generator)], steps, gamma)

    def state_dict(self) -> dict[str, Tensor]:
        """What is remembered; no more than is in use."""
        parts = {name: getattr(self, name)[: self.size].clone() for name in _PARTS}
        return parts | {"count": torch.tensor(self.count)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.count = int(state["count"])
        for name in _PARTS:
            getattr(self, name)[: self.size] = state[name]


_PARTS = ("frames", "action", "reward", "ended", "last")


class Replay(Source):
    """Acts in an environment by the current policy and yields batches of what it remembers.

    An epoch has `steps` actions and a batch after every `every` of them. Before the first batch of all, `explore` actions are
    drawn at random. Episodes begin anew with each epoch, so an epoch follows from its number, the seed, the policy's weights
    and `state_dict`: a killed run repeats it exactly. An episode that an epoch cuts counts as truncated there.

    policy: called without a gradient. finished: called with the return (the sum of rewards) of each episode of the policy that
    ended by itself, or was cut having filled its epoch.
    """

    def __init__(
        self,
        environment: Environment,
        policy: Policy,
        *,
        steps: int,
        explore: int,
        every: int,
        batch: int,
        capacity: int,
        n_step: int,
        gamma: float,
        seed: int,
        finished: Callable[[float], None] = lambda total: None,
    ) -> None:
        self.environment, self.policy, self.finished = environment, policy, finished
        self.steps, self.explore, self.every, self.batch = steps, explore, every, batch
        self.n_step, self.gamma, self.seed = n_step, gamma, seed
        self.memory = Memory(capacity, environment.shape, environment.actions)

    def __len__(self) -> int:
        return self.steps // self.every

    def epoch(self, number: int) -> Iterator[Batch]:
        generator = keyed(self.seed, number, 0)
        if not self.memory.count:
            for _ in self._play(self.explore, self._random, keyed(self.seed, 0, 1), lambda total: None):
                pass
        for step in self._play(self.steps, self.policy, generator, self.finished):
            if step % self.every == 0:
                yield self._batch(self.memory.sample(self.batch, self.n_step, self.gamma, generator))

    def _random(self, observation: Tensor, generator: torch.Generator) -> Float[Tensor, "one actions"]:
        return torch.rand(1, self.environment.actions, generator=generator) * 2 - 1

    def _play(self, steps: int, policy: Policy, generator: torch.Generator, finished: Callable[[float], None]) -> Iterator[int]:
        """Act `steps` times; yields the number of actions so far after each."""
        fresh, since, total = True, 0, 0.0
        for step in range(1, steps + 1):
            if fresh:
                seed = int(torch.randint(2**31 - 1, (), generator=generator))
                self.memory.observe(torch.from_numpy(self.environment.reset(seed)))
                fresh, since, total = False, step - 1, 0.0
            newest = self.memory.frames[(self.memory.count - 1) % self.memory.capacity]
            with torch.no_grad():
                action = policy(newest[None], generator)[0].cpu()
            found = self.environment.step(action.numpy().astype(np.float64))
            self.memory.act(action, found.reward, found.terminated)
            self.memory.observe(torch.from_numpy(found.observation))
            total += found.reward
            fresh = found.terminated or found.truncated
            if fresh or (step == steps and since == 0):
                finished(total)
            yield step

    def _batch(self, found: Transitions) -> Batch:
        rows = len(found.reward)
        true: Bool[Tensor, "batch"] = torch.ones(rows, dtype=torch.bool)
        present = Columns(dict.fromkeys(found._fields, true), rows)
        return Batch(Columns(found._asdict(), rows), present, Columns({}, rows), Columns({}, rows))

    def state_dict(self) -> dict[str, Tensor]:
        return self.memory.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.memory.load_state_dict(state)


class Gymnasium:
    """A Gymnasium environment whose observations are bytes `(height, width, colours)` and whose actions are a box.

    Frames are stacked, the newest last; actions in [-1, 1] are taken to the box.

    Errors: `OptionError` for an unknown id and for other observations or actions; `MissingExtra` without Gymnasium.
    """

    def __init__(self, id: str, stack: int = 3) -> None:
        try:
            import gymnasium
        except ImportError as error:
            raise MissingExtra.of(f"environment '{id}'", f"needs the package '{error.name}'", _FIX) from error
        try:
            self.world: Any = gymnasium.make(id, disable_env_checker=True)
        except gymnasium.error.Error as error:
            raise OptionError.of("environment", f"'{id}': {' '.join(str(error).split())}") from None
        seen, done = self.world.observation_space, self.world.action_space
        if seen.dtype != np.uint8 or seen.shape is None or len(seen.shape) != 3:
            raise OptionError.of("environment", f"'{id}' is seen as {seen}, not as an image of bytes", "Wrap it to give pixels")
        if not isinstance(done, gymnasium.spaces.Box) or len(done.low.shape) != 1:
            raise OptionError.of("environment", f"'{id}' is acted upon by {done}, not by a vector of numbers")
        self.low, self.high = done.low.astype(np.float64), done.high.astype(np.float64)
        self.actions = len(self.low)
        height, width, colours = seen.shape
        self.shape: tuple[int, int, int] = (stack * colours, height, width)
        self.colours, self.frames = colours, np.zeros(self.shape, np.uint8)

    def reset(self, seed: int) -> Frames:
        first = self.world.reset(seed=seed)[0].transpose(2, 0, 1)
        self.frames = np.concatenate([first] * (self.shape[0] // self.colours))
        return self.frames

    def step(self, action: Float[np.ndarray, "actions"]) -> Step:
        scaled = self.low + (action + 1) / 2 * (self.high - self.low)
        found, reward, terminated, truncated, _ = self.world.step(scaled.astype(self.world.action_space.dtype))
        self.frames = np.concatenate([self.frames[self.colours :], found.transpose(2, 0, 1)])
        return Step(self.frames, float(reward), bool(terminated), bool(truncated))


_FIX = "pip install 'polytask[control]'"
