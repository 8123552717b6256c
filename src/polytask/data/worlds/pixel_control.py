"""Three control problems seen as pixels: a pendulum to swing up, a car in a valley, a pole on a cart.

Simulated: the physics are Gymnasium's classic control (Towers et al. 2024, "Gymnasium: A Standard Interface for Reinforcement
Learning Environments"); the pole's cart is pushed with any force up to Gymnasium's, not by one of two. What is seen is drawn
here, anti-aliased, in 32 x 32 pixels, without OpenGL. The logged transitions are those of scripted experts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int64, UInt8

from polytask.core import DataError, MissingExtra, nearest
from polytask.data.replay import Environment, Gymnasium, Step

about = {
    "title": "Pixel control: three classic control problems, logged from scripted experts",
    "origin": "simulated by Gymnasium 1.4 (classic control); drawn and logged by this package",
    "licence": "Apache-2.0 (this package); MIT (Gymnasium)",
    "rows": 3600,
    "sha256": None,
    "extra": "control",
}
tasks = {"pendulum": "control", "mountain_car": "control", "cart_pole": "control"}
ignore = ["world", "episode", "fold", "pendulum", "mountain_car", "cart_pole", "reward", "discount"]
modalities: dict[str, list[str]] = {}
split = {"how": "group", "column": "fold"}
inputs = {"pixels": {"kind": "pixels", "channels": 9}}

States = Float[np.ndarray, "copies state"]
Actions = Float[np.ndarray, "copies actions"]
Images = UInt8[np.ndarray, "copies channels height width"]
Strokes = Float[np.ndarray, "copies strokes 8"]
"""Round-ended lines: x0, y0, x1, y1, radius in the unit square (y downward), then red, green, blue from 0 to 1."""

SIZE, STACK = 32, 3
_ROWS = 1200
_NOISE = 0.4
_LQR = np.array([-0.7382, -0.9344, -6.4203, -1.5609])


@dataclass(frozen=True)
class _World:
    """repeat: physics steps an action. limit: actions an episode. strength: what an action of 1 is in the physics' units."""

    id: str
    repeat: int
    limit: int
    strength: float
    expert: Callable[[States], Actions]
    scene: Callable[[States], Strokes]
    ground: Callable[[int], Float[np.ndarray, "3 size size"]]


def _swing_up(state: States) -> Actions:
    """Pump energy into the pendulum until it has that of standing still upright; hold it there by angle and speed."""
    angle, speed = (state[:, 0] + np.pi) % (2 * np.pi) - np.pi, state[:, 1]
    lacking = 15 * (1 - np.cos(angle)) - speed**2 / 2
    pump = np.tanh(0.3 * lacking * np.where(speed >= 0, 1, -1) * np.minimum(np.abs(speed) + 0.1, 1))
    hold = np.clip(-(5.0 * angle + 1.2 * speed), -1, 1)
    near = (np.abs(angle) < 0.4) & (np.abs(speed) < 3)
    actions: Actions = np.where(near, hold, pump)[:, None]
    return actions


def _rock(state: States) -> Actions:
    """Push the car the way it moves."""
    actions: Actions = np.tanh(150 * state[:, 1] + 0.05)[:, None]
    return actions


def _balance(state: States) -> Actions:
    """The linear-quadratic regulator of the upright pole (costs 1, 0.1, 10, 0.1 of the state, 1 of an action)."""
    actions: Actions = np.clip(-(state @ _LQR), -1, 1)[:, None]
    return actions


def _line(x0: Any, y0: Any, x1: Any, y1: Any, radius: float, colour: tuple[float, float, float]) -> Strokes:
    parts = np.broadcast_arrays(*(np.atleast_1d(np.asarray(value, np.float64)) for value in (x0, y0, x1, y1, radius, *colour)))
    return np.stack(parts, axis=1)[:, None]


def _pendulum(state: States) -> Strokes:
    x, y = 0.5 + 0.38 * np.sin(state[:, 0]), 0.5 - 0.38 * np.cos(state[:, 0])
    rod = _line(0.5, 0.5, x, y, 0.06, (0.9, 0.3, 0.3))
    return np.concatenate([rod, _line(0.5, 0.5, 0.5 + 0 * x, 0.5, 0.04, (1.0, 1.0, 1.0))], axis=1)


def _height(x: Float[np.ndarray, "places"]) -> Float[np.ndarray, "places"]:
    y: Float[np.ndarray, "places"] = 0.9 - 0.7 * (np.sin(3 * x) * 0.45 + 0.55)
    return y


def _car(state: States) -> Strokes:
    x, flag = state[:, 0], 0.45
    at = (flag + 1.2) / 1.8
    pole = _line(at, _height(np.array([flag])), at + 0 * x, 0.05, 0.02, (1.0, 0.9, 0.2))
    return np.concatenate([pole, _line((x + 1.2) / 1.8, _height(x) - 0.04, (x + 1.2) / 1.8, _height(x) - 0.04, 0.07, _BLUE)], 1)


def _cart(state: States) -> Strokes:
    x = 0.5 + state[:, 0] * (0.4 / 2.4)
    cart = _line(x - 0.08, 0.85, x + 0.08, 0.85, 0.06, _BLUE)
    pole = _line(x, 0.8, x + 0.65 * np.sin(state[:, 2]), 0.8 - 0.65 * np.cos(state[:, 2]), 0.035, (0.9, 0.8, 0.3))
    return np.concatenate([cart, pole], axis=1)


def _plain(size: int) -> Float[np.ndarray, "3 size size"]:
    return np.full((3, size, size), 0.1)


def _valley(size: int) -> Float[np.ndarray, "3 size size"]:
    centres = (np.arange(size) + 0.5) / size
    earth = np.clip(0.5 + (centres[:, None] - _height(centres * 1.8 - 1.2)[None]) * size, 0, 1)
    ground: Float[np.ndarray, "3 size size"] = 0.1 + earth * np.array([0.2, 0.5, 0.2])[:, None, None]
    return ground


_BLUE = (0.3, 0.5, 1.0)
WORLDS = {
    "pendulum": _World("Pendulum-v1", 2, 100, 2.0, _swing_up, _pendulum, _plain),
    "mountain_car": _World("MountainCarContinuous-v0", 4, 250, 1.0, _rock, _car, _valley),
    "cart_pole": _World("CartPole-v1", 2, 250, 10.0, _balance, _cart, _plain),
}
"""Episodes last as long as Gymnasium's (200, 1,000 for 999, and 500 steps of the physics)."""


def draw(strokes: Strokes, ground: Float[np.ndarray, "3 size size"]) -> Images:
    """Strokes over a ground, each pixel covered by the share that its distance to the line tells."""
    size = ground.shape[-1]
    centres = (np.arange(size) + 0.5) / size
    x, y = centres[None, None, :], centres[None, :, None]
    image = np.broadcast_to(ground, (len(strokes), *ground.shape))
    for k in range(strokes.shape[1]):
        x0, y0, x1, y1, radius, *colour = strokes[:, k].T[:, :, None, None]
        dx, dy = x1 - x0, y1 - y0
        along = np.clip(((x - x0) * dx + (y - y0) * dy) / np.maximum(dx**2 + dy**2, 1e-12), 0, 1)
        distance = np.sqrt((x - x0 - along * dx) ** 2 + (y - y0 - along * dy) ** 2)
        cover = np.clip(0.5 + (radius - distance) * size, 0, 1)[:, None]
        image = image + cover * (np.stack(colour, axis=1) - image)
    images: Images = np.round(image * 255).astype(np.uint8)
    return images


class Copies:
    """Copies of one world side by side, drawn together. A copy whose episode is over stays as it is and gives 0."""

    def __init__(self, name: str, copies: int, size: int = SIZE, stack: int = STACK) -> None:
        if name not in WORLDS:
            raise DataError.of(f"world '{name}'", "is not known", nearest(name, WORLDS))
        try:
            import gymnasium
        except ImportError as error:
            raise MissingExtra.of(f"world '{name}'", f"needs the package '{error.name}'", _FIX) from error
        self.world = WORLDS[name]
        self.physics: list[Any] = [gymnasium.make(self.world.id, disable_env_checker=True).unwrapped for _ in range(copies)]
        self.ground, self.stack, self.shape = self.world.ground(size), stack, (3 * stack, size, size)
        self.frames, self.over, self.steps = np.zeros((copies, *self.shape), np.uint8), np.zeros(copies, bool), 0

    @property
    def states(self) -> States:
        """What the physics know."""
        return np.array([each.state for each in self.physics], dtype=np.float64)

    def reset(self, seeds: Int64[np.ndarray, "copies"]) -> Images:
        for each, seed in zip(self.physics, seeds.tolist(), strict=True):
            each.reset(seed=seed)
        self.over, self.steps = np.zeros(len(seeds), bool), 0
        self.frames = np.tile(draw(self.world.scene(self.states), self.ground), (1, self.stack, 1, 1))
        return self.frames

    def step(
        self, actions: Actions
    ) -> tuple[Images, Float[np.ndarray, "copies"], Bool[np.ndarray, "copies"], Bool[np.ndarray, "copies"]]:
        """Observations, rewards (summed over the repeat), terminated, truncated."""
        rewards, ended = np.zeros(len(self.physics)), np.zeros(len(self.physics), bool)
        for i in np.flatnonzero(~self.over):
            for _ in range(self.world.repeat):
                reward, ended[i] = self._push(self.physics[i], float(np.clip(actions[i, 0], -1, 1)))
                rewards[i] += reward
                if ended[i]:
                    break
        self.steps += 1
        cut = ~ended & ~self.over & (self.steps >= self.world.limit)
        self.over = self.over | ended | cut
        self.frames = np.concatenate([self.frames[:, 3:], draw(self.world.scene(self.states), self.ground)], axis=1)
        return self.frames, rewards, ended, cut

    def _push(self, physics: Any, action: float) -> tuple[float, bool]:
        force = action * self.world.strength
        if self.world.id == "CartPole-v1":  # which knows left and right only, of the size `force_mag`
            physics.force_mag = abs(force)
            found = physics.step(int(force >= 0))
        else:
            found = physics.step(np.array([force]))
        return float(found[1]), bool(found[2])


class PixelControl:
    """One copy of a world, as an environment."""

    actions = 1

    def __init__(self, name: str, size: int = SIZE, stack: int = STACK) -> None:
        self.copies = Copies(name, 1, size, stack)
        self.shape: tuple[int, int, int] = self.copies.shape

    def reset(self, seed: int) -> UInt8[np.ndarray, "channels height width"]:
        first: UInt8[np.ndarray, "channels height width"] = self.copies.reset(np.array([seed]))[0]
        return first

    def step(self, action: Float[np.ndarray, "actions"]) -> Step:
        images, rewards, terminated, truncated = self.copies.step(action[None])
        return Step(images[0], float(rewards[0]), bool(terminated[0]), bool(truncated[0]))


def environment(name: str, size: int = SIZE, stack: int = STACK) -> Environment:
    """A world of this module by its name, or else a Gymnasium environment of pixels by its id."""
    return PixelControl(name, size, stack) if name in WORLDS else Gymnasium(name, stack)


Act = Callable[[Images, States], Actions]
"""What a policy does in all copies, from what is seen and what the physics know."""


def rollout(name: str, act: Act, seeds: Int64[np.ndarray, "copies"], size: int = SIZE, stack: int = STACK) -> list[float]:
    """The return of one episode a seed."""
    copies = Copies(name, len(seeds), size, stack)
    images, total = copies.reset(seeds), np.zeros(len(seeds))
    while not copies.over.all():
        images, rewards, _, _ = copies.step(act(images, copies.states))
        total += rewards
    return [float(value) for value in total]


@cache
def reference(name: str) -> tuple[float, float]:
    """The mean returns of random actions and of the expert, over ten episodes: what 0 and 1 are of a normalised return."""
    seeds, rng = np.arange(10) + 10_000, np.random.default_rng(0)
    random = rollout(name, lambda images, states: rng.uniform(-1, 1, (len(states), 1)), seeds)
    expert = rollout(name, lambda images, states: WORLDS[name].expert(states), seeds)
    return float(np.mean(random)), float(np.mean(expert))


def load() -> pa.Table:
    """Transitions of the experts, 1,200 a world: what is seen, what the expert does there, and what followed.

    In every second episode what is done is the expert's action plus noise, so that the expert is also seen mending errors
    (Laskey et al. 2017, DART); the logged action is always the expert's own, reward and discount are of what was done.
    Each of the 12 values of `fold` has whole episodes of every world.
    """
    parts = [_log(name, number) for number, name in enumerate(WORLDS)]
    fold, first = np.concatenate([part["episode"] % _FOLDS for part in parts]), 0
    for part in parts:
        part["episode"] += first
        first = int(part["episode"].max()) + 1
    pixels = pa.array(np.concatenate([part["pixels"] for part in parts]).reshape(-1))
    columns = {
        "world": pa.array(np.repeat(list(WORLDS), _ROWS)),
        "episode": pa.array(np.concatenate([part["episode"] for part in parts])),
        "fold": pa.array(fold),
        "pixels": pa.FixedSizeListArray.from_arrays(pixels, 3 * STACK * SIZE * SIZE),
    }
    for name in WORLDS:
        each = [part["action"] if world == name else np.full(_ROWS, np.nan) for world, part in zip(WORLDS, parts, strict=True)]
        columns[name] = pa.array(np.concatenate(each).astype(np.float32), from_pandas=True)
    for name in ("reward", "discount"):
        columns[name] = pa.array(np.concatenate([part[name] for part in parts]).astype(np.float32))
    return pa.table(columns)


def _log(name: str, number: int) -> dict[str, Any]:
    """The first `_ROWS` transitions of the expert's episodes, one episode after another."""
    copies = _COPIES[name]
    world, rng = Copies(name, copies), np.random.default_rng([7, number])
    images = world.reset(np.arange(copies) + 1000 * number)
    noisy = np.arange(copies) % 2 == 1
    log: dict[str, list[Any]] = {key: [] for key in ("episode", "pixels", "action", "reward", "discount")}
    for _ in range(_LONGEST):
        alive, action = ~world.over, world.world.expert(world.states)
        noise = rng.normal(0, _NOISE, (copies, 1)) * noisy[:, None]
        after, reward, ended, _ = world.step(np.clip(action + noise, -1, 1))
        step = (np.arange(copies), images, action[:, 0], reward, 1.0 - ended)
        for values, found in zip(log.values(), step, strict=True):
            values.append(np.where(alive, np.arange(copies), -1) if values is log["episode"] else found)
        images = after
    flat = {key: np.concatenate(values) for key, values in log.items()}
    order = np.argsort(flat["episode"], kind="stable")
    order = order[flat["episode"][order] >= 0][:_ROWS]
    return {key: values[order] for key, values in flat.items()}


_FOLDS = 12
_LONGEST = 100
"""Actions of an episode that are logged, at most."""
_COPIES = {"pendulum": 12, "mountain_car": 60, "cart_pole": 12}
"""Episodes that are played; the car's expert is done after twenty to forty actions."""
_FIX = "pip install 'polytask[control]'"
