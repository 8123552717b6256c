"""Task vectors, TIES and merged weights against per-element forms written from the papers' text."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from polytask.core import RunError
from polytask.merge.merged import Merged, entropy
from polytask.merge.task_vectors import average, disjoint_mean, elect, flatten, task_arithmetic, task_vectors, ties
from polytask.tasks.binary import Binary
from polytask.tasks.multiclass import Multiclass
from polytask.tasks.regression import Regression


def state(seed: int, sizes: tuple[tuple[int, ...], ...] = ((3, 4), (5,))) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {f"t{i}": torch.randn(*size, generator=generator) for i, size in enumerate(sizes)}


def naive_ties(base: np.ndarray, models: list[np.ndarray], keep: float, scale: float) -> np.ndarray:
    """Algorithm 1 of the TIES paper, a weight at a time."""
    vectors = [model - base for model in models]
    for vector in vectors:
        order = sorted(range(len(vector)), key=lambda i: -abs(vector[i]))
        for i in order[round(keep * len(vector)) :]:
            vector[i] = 0.0
    merged = base.copy()
    for i in range(len(base)):
        gamma = np.sign(sum(vector[i] for vector in vectors))
        agreeing = [vector[i] for vector in vectors if vector[i] != 0 and np.sign(vector[i]) == gamma]
        merged[i] += scale * (sum(agreeing) / len(agreeing) if agreeing else 0.0)
    return merged


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.sampled_from([0.1, 0.2, 0.5, 1.0]), st.sampled_from([0.3, 1.0]))
def test_ties_is_the_paper_s_algorithm(seed: int, count: int, keep: float, scale: float) -> None:
    base, models = state(seed), [state(seed + 1 + k) for k in range(count)]
    found = flatten(ties(base, task_vectors(base, models), keep, scale)).numpy()
    expected = naive_ties(flatten(base).numpy(), [flatten(m).numpy() for m in models], keep, scale)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_task_arithmetic_is_its_naive_form_and_average_is_the_scale_one_over_k(seed: int, count: int) -> None:
    base, models = state(seed), [state(seed + 1 + k) for k in range(count)]
    vectors = task_vectors(base, models)
    flat = [flatten(m).numpy() for m in [base, *models]]
    naive = [b + sum(0.4 * (m[i] - b) for m in flat[1:]) for i, b in enumerate(flat[0])]
    np.testing.assert_allclose(flatten(task_arithmetic(base, vectors, 0.4)).numpy(), naive, rtol=1e-4, atol=1e-5)
    mean = flatten(average(models))
    assert torch.allclose(flatten(task_arithmetic(base, vectors, 1 / count)), mean, atol=1e-5)


def test_copies_of_one_model_merge_to_it() -> None:
    base, model = state(0), state(1)
    vectors = task_vectors(base, [model] * 3)
    for merged in (average([model] * 3), task_arithmetic(base, vectors, 1 / 3), ties(base, vectors, keep=1.0)):
        assert torch.allclose(flatten(merged), flatten(model), atol=1e-6)


def test_the_order_of_models_does_not_matter() -> None:
    base, models = state(0), [state(k) for k in (1, 2, 3)]
    there, back = task_vectors(base, models), task_vectors(base, models[::-1])
    assert torch.allclose(flatten(average(models)), flatten(average(models[::-1])), atol=1e-6)
    assert torch.allclose(flatten(ties(base, there)), flatten(ties(base, back)), atol=1e-6)
    assert all(torch.equal(flatten(a), flatten(b)) for a, b in zip(elect(there, 0.2), elect(back, 0.2)[::-1], strict=True))


def test_opposite_vectors_cancel_and_trimming_is_over_all_tensors() -> None:
    vector = {"large": torch.tensor([5.0, 4.0]), "small": torch.full((8,), 0.1)}
    opposite = {name: -value for name, value in vector.items()}
    assert not flatten(disjoint_mean(elect([vector, opposite], 1.0))).any()
    (alone,) = elect([vector], 0.2)
    assert alone["large"].tolist() == [5.0, 4.0]
    assert not alone["small"].any()


def test_whole_numbers_stay_those_of_the_base() -> None:
    base, model = state(0) | {"first": torch.tensor([1, 2])}, state(1) | {"first": torch.tensor([8, 9])}
    (vector,) = task_vectors(base, [model])
    assert "first" not in vector
    assert task_arithmetic(base, [vector], 1.0)["first"].tolist() == [1, 2]
    assert average([base, model])["first"].tolist() == [1, 2]


def test_what_cannot_be_merged_is_named() -> None:
    with pytest.raises(RunError, match=r"'t1'.*\(5,\).*\(6,\)"):
        task_vectors(state(0), [state(0, ((3, 4), (6,)))])
    with pytest.raises(RunError, match=r"'t1'.*not in model 1"):
        task_vectors(state(0), [state(0, ((3, 4),))])
    with pytest.raises(RunError, match=r"'norm\.running_mean'.*batch normalisation"):
        average([{"norm.running_mean": torch.zeros(2)}] * 2)
    with pytest.raises(ValueError, match="keep"):
        elect([state(0)], 0.0)


def make(granularity: str, net: nn.Module) -> Merged:
    like = dict(net.named_parameters())
    merged = Merged(like, 2, granularity)  # type: ignore[arg-type]
    merged.set(like, [{n: torch.randn_like(p) for n, p in like.items()} for _ in range(2)])
    merged.requires_grad_(True)
    return merged


def test_equal_layer_coefficients_are_those_of_tasks_and_task_arithmetic() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    layer, task = make("layer", net), Merged(dict(net.named_parameters()), 2, "task")
    task.base.copy_(layer.base)
    task.vectors.copy_(layer.vectors)
    expected = layer.base + 0.3 * layer.vectors.sum(0)
    assert layer.coefficients.shape == (4, 2)
    assert task.coefficients.shape == (2,)
    for merged in (layer, task):
        assert torch.allclose(flatten(merged.weights()), expected, atol=1e-6)


@pytest.mark.parametrize("granularity", ["layer", "task"])
def test_entropy_reaches_the_coefficients_and_falls(granularity: str) -> None:
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3)), torch.randn(64, 3)
    merged, task = make(granularity, net), Multiclass.example("y", (3,))

    def loss() -> Tensor:
        return entropy(task, functional_call(net, merged.weights(), (x,))).mean()

    first = loss()
    optimizer = torch.optim.Adam([merged.coefficients], 1e-2)
    for step in range(30):
        optimizer.zero_grad()
        loss().backward()
        assert merged.coefficients.grad is not None
        assert step or bool((merged.coefficients.grad != 0).all())
        optimizer.step()
    assert float(loss().detach()) < float(first.detach())
    assert all(p.grad is None for p in net.parameters())


def test_coefficients_are_clamped_in_the_weights_alone() -> None:
    net = nn.Linear(2, 1)
    merged = make("task", net)
    with torch.no_grad():
        merged.coefficients.copy_(torch.tensor([1.7, -0.4]))
    assert torch.allclose(flatten(merged.weights()), merged.base + merged.vectors[0], atol=1e-6)
    assert merged.coefficients.tolist() == pytest.approx([1.7, -0.4])


def test_entropies_are_those_of_torch() -> None:
    logits = torch.randn(7, 4) * 3
    assert torch.allclose(
        entropy(Multiclass.example("y", (4,)), logits), torch.distributions.Categorical(logits=logits).entropy(), atol=1e-5
    )
    found = entropy(Binary.example("y", ()), logits[:, :1])
    assert torch.allclose(found, torch.distributions.Bernoulli(logits=logits[:, 0]).entropy(), atol=1e-5)
    assert not entropy(Binary.example("y", ()), torch.tensor([[1e4], [-1e4]])).any()
    with pytest.raises(ValueError, match="no entropy"):
        entropy(Regression.example("y", ()), logits[:, :1])
