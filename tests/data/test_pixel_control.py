"""The pixel worlds: what is drawn, Gymnasium's physics under it, experts that master them, and their log."""

import numpy as np
import pyarrow as pa
import pytest
import scipy.linalg

pytest.importorskip("gymnasium")
import gymnasium

from polytask.core import DataError, OptionError
from polytask.data.worlds import pixel_control as world

NAMES = list(world.WORLDS)


def stroke(x0: float, y0: float, x1: float, y1: float, radius: float) -> np.ndarray:
    return np.array([[[x0, y0, x1, y1, radius, 1.0, 1.0, 1.0]]])


def test_a_line_covers_its_area() -> None:
    dark = np.zeros((3, 64, 64))
    for x1, y1 in ((0.8, 0.3), (0.3, 0.8), (0.55, 0.71)):
        image = world.draw(stroke(0.3, 0.3, x1, y1, 0.06), dark)[0, 0] / 255.0
        area = 2 * 0.06 * np.hypot(x1 - 0.3, y1 - 0.3) + np.pi * 0.06**2
        assert image.mean() == pytest.approx(area, rel=0.02)


def test_drawing_moves_mirrors_and_turns_with_its_object() -> None:
    dark = np.zeros((3, 32, 32))
    here = world.draw(stroke(0.25, 0.3, 0.4, 0.6, 0.05), dark)
    assert np.array_equal(world.draw(stroke(0.5, 0.3, 0.65, 0.6, 0.05), dark), np.roll(here, 8, axis=3))
    assert np.array_equal(world.draw(stroke(0.75, 0.3, 0.6, 0.6, 0.05), dark), here[..., ::-1])
    assert np.array_equal(world.draw(stroke(0.3, 0.25, 0.6, 0.4, 0.05), dark), here.swapaxes(2, 3))
    assert np.array_equal(world.draw(stroke(0.4, 0.6, 0.25, 0.3, 0.05), dark), here)


def test_less_than_a_pixel_shows() -> None:
    dark = np.zeros((3, 32, 32))
    images = [world.draw(stroke(0.5, 0.5, 0.5 + d, 0.1, 0.04), dark).astype(int) for d in (0.0, 0.005, 0.01)]
    first, second = (np.abs(image - images[0]).sum() for image in images[1:])
    assert 0 < first < second


@pytest.mark.parametrize("name", NAMES)
def test_physics_are_gymnasiums(name: str) -> None:
    rng, spec = np.random.default_rng(0), world.WORLDS[name]
    copies, reference = world.Copies(name, 1), gymnasium.make(spec.id).unwrapped
    copies.reset(np.array([5]))
    reference.reset(seed=5)
    for _ in range(10):
        action = rng.uniform(-1, 1)
        if name == "cart_pole":  # only full force to either side is Gymnasium's own
            action = np.sign(action)
        _, reward, *_ = copies.step(np.array([[action]]))
        own = int(action > 0) if name == "cart_pole" else np.array([action * spec.strength])
        total = sum(float(reference.step(own)[1]) for _ in range(spec.repeat))
        assert copies.states[0] == pytest.approx(np.asarray(reference.state, dtype=np.float64))
        assert reward[0] == pytest.approx(total)


def test_frames_are_stacked_newest_last() -> None:
    single = world.PixelControl("pendulum")
    first = single.reset(1)
    assert first.shape == single.shape == (9, 32, 32)
    assert np.array_equal(first[:3], first[6:])
    second = single.step(np.array([1.0])).observation
    assert np.array_equal(second[:6], first[3:])
    assert not np.array_equal(second[6:], first[6:])


def test_time_limits_truncate_and_falls_terminate() -> None:
    swing = world.PixelControl("pendulum")
    swing.reset(0)
    steps = [swing.step(np.array([0.0])) for _ in range(100)]
    assert [step.truncated for step in steps] == [False] * 99 + [True]
    assert not any(step.terminated for step in steps)
    pole = world.PixelControl("cart_pole")
    pole.reset(0)
    for _ in range(50):
        step = pole.step(np.array([1.0]))
        if step.terminated:
            break
    assert step.terminated
    assert not step.truncated


def test_copies_that_are_over_stay() -> None:
    copies = world.Copies("cart_pole", 2)
    copies.reset(np.array([0, 1]))
    total = np.zeros(2)
    while not copies.over[0]:
        total += copies.step(np.array([[1.0], [0.0]]))[1]
    state = copies.states[0]
    _, reward, ended, cut = copies.step(np.array([[1.0], [0.0]]))
    assert np.array_equal(copies.states[0], state)
    assert (reward[0], ended[0], cut[0]) == (0.0, False, False)


def test_experts_master_their_worlds() -> None:
    for name, least in {"pendulum": -250.0, "mountain_car": 90.0, "cart_pole": 500.0}.items():
        random, expert = world.reference(name)
        assert expert >= least
        assert random < expert - 0.5 * abs(expert), name


def test_the_regulator_is_optimal() -> None:
    gravity, pole, half, cart, tau = 9.8, 0.1, 0.5, 1.0, 0.02
    total = cart + pole
    lever = half * (4 / 3 - pole / total)
    drift, push = np.zeros((4, 4)), np.zeros((4, 1))
    drift[0, 1] = drift[2, 3] = 1.0
    drift[3, 2] = gravity / lever
    drift[1, 2] = -pole * half / total * drift[3, 2]
    push[3] = -10 / total / lever
    push[1] = 10 / total - pole * half / total * push[3]
    once, force = np.eye(4) + tau * drift, tau * push
    twice, forces = once @ once, once @ force + force
    cost = scipy.linalg.solve_discrete_are(twice, forces, np.diag([1, 0.1, 10, 0.1]), np.eye(1))
    gains = np.linalg.solve(np.eye(1) + forces.T @ cost @ forces, forces.T @ cost @ twice)
    assert pytest.approx(gains[0], abs=1e-3) == world._LQR


def test_the_log() -> None:
    table = world.load()
    assert table.num_rows == world.about["rows"]
    assert table["pixels"].type == pa.list_(pa.uint8(), 9 * 32 * 32)
    names = np.array(table["world"].to_pylist())
    for name in NAMES:
        known = table[name].is_valid().to_numpy()
        assert np.array_equal(known, names == name)
        assert np.abs(table[name].drop_null().to_numpy()).max() <= 1
    episode = table["episode"].to_numpy()
    assert (np.diff(episode) >= 0).all()
    assert len({(e, n) for e, n in zip(episode, names, strict=True)}) == len(set(episode)), "an episode is of one world"
    fold = table["fold"].to_numpy()
    assert len(set(zip(episode, fold, strict=True))) == len(set(episode)), "an episode is in one fold"
    assert all(set(names[fold == one]) == set(NAMES) for one in range(12))
    assert set(table["discount"].to_pylist()) == {0.0, 1.0}
    pixels = table["pixels"].combine_chunks().flatten().to_numpy().reshape(-1, 3, 3, 32, 32)
    follows = np.flatnonzero(np.diff(episode) == 0)
    assert np.array_equal(pixels[follows, 1:], pixels[follows + 1, :-1]), "rows are in the order of time"
    again = world._log("mountain_car", 1)
    assert np.array_equal(again["pixels"].reshape(-1, 3, 3, 32, 32), pixels[1200:2400])
    assert np.array_equal(again["action"].astype(np.float32), table["mountain_car"].drop_null().to_numpy())


def test_unknown_names() -> None:
    with pytest.raises(DataError, match="Did you mean 'pendulum'"):
        world.PixelControl("pendulun")
    with pytest.raises(OptionError):
        world.environment("pendulun")
