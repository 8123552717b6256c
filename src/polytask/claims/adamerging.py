"""Coefficients learnt by entropy merge fine-tuned models better than one hand-set coefficient (Yang et al. 2024)."""

claim = {
    "statement": "Merging coefficients a tensor and task, learnt by minimal entropy on unlabelled test inputs, give a merged "
    "model a higher mean accuracy than task arithmetic, and none lower than coefficients a task.",
    "source": "sec. 4.2, table 1; entropy and loss: sec. 3.2, figure 4",
    "reported": "ViT-B/32, eight tasks: task arithmetic 69.1 %, AdaMerging by layers 80.1 % (quoted from memory); "
    "eleven points more (abstract)",
    "data": ["digit_domains", "mnist5k"],
    "simulated": "Printed domains are real type designs, drawn, turned and moved; `inverted` are real digits with noise.",
    "systems": ["adamerging"],
    "arms": {
        "layer": "AdaMerging, a coefficient a tensor and task, learnt on the test inputs themselves (transductive)",
        "task": "AdaMerging, a coefficient a task, likewise",
        "inductive": "as layer, learnt on one half of the test inputs; `half` is of the other half",
        "arithmetic": "task arithmetic, the one coefficient chosen on validation rows",
        "ties": "TIES, the 20 % largest entries, its coefficient chosen likewise",
        "average": "the mean of the fine-tuned weights",
        "single": "no merging: each task's own fine-tuned model",
    },
    "controls": {
        "random": "random coefficients, a tensor and task", "base": "the common start with the fine-tuned heads",
    },
    "checks": {
        "gain": {"arm": "layer", "against": "arithmetic", "metric": "accuracy", "direction": "max", "margin": 0.02,
            "says": "Learnt coefficients against one chosen on validation rows", "unit": "of mean accuracy"},
        "layers": {"arm": "layer", "against": "task", "metric": "accuracy", "direction": "max", "margin": -0.005,
            "says": "A coefficient a tensor and task is no worse than a coefficient a task", "unit": "of mean accuracy"},
        "entropy": {"arm": "layer", "against": None, "metric": "correlation", "direction": "max", "margin": 0.5,
            "says": "Where entropy is low, so is the loss: over batches of 16", "unit": "of the mean rank correlation"},
        "unseen": {"arm": "inductive", "against": "arithmetic", "metric": "half", "direction": "max", "margin": 0.02,
            "says": "Learnt on other inputs than those scored", "unit": "of mean accuracy", "decides": False},
        "ties": {"arm": "layer", "against": "ties", "metric": "accuracy", "direction": "max", "margin": 0.02,
            "says": "Learnt coefficients against TIES", "unit": "of mean accuracy", "decides": False},
        "whole": {"arm": "layer", "against": "single", "metric": "accuracy", "direction": "max", "margin": -0.05,
            "says": "What merging costs against a model a task", "unit": "of mean accuracy", "decides": False},
    },
    "seeds": {"smoke": 1, "quick": 5, "full": 10},
    "test_share": 0.8,
    "unfair": {
        "inductive": "sees half as many inputs",
        "arithmetic": "no updates after fine-tuning; ten coefficients are tried with labels, which AdaMerging does not see",
        "ties": "likewise", "average": "no updates after fine-tuning", "random": "likewise", "base": "likewise",
        "single": "five networks, no updates after fine-tuning; it bounds what merging can reach",
    },
    "differs": "A network of 106 thousand weights, pretrained on 2,800 other digits and their rotations, and five small "
    "tasks; the paper has CLIP and eight large ones. Heads are linear, learnt on the start's features. Coefficients take "
    "250 steps at 2e-3 (quick); the paper's take 500 at 1e-3. On seed 100, which is none of these, entropy fell as it "
    "should (2.86 to 2.11 nats, summed over tasks) while losses rose: larger coefficients made the small network surer, "
    "not right; its entropy tells little of its loss.",
}  # fmt: skip

import numpy as np
import torch
from torch import Tensor

from polytask.core import Batch
from polytask.engine.merging import Adapting, adapt
from polytask.ledger import Measured
from polytask.merge.merged import Merged
from polytask.merge.task_vectors import disjoint_mean, elect, flatten

from ._digit_merging import GRID, Tuned, chosen, correlation, tuned

SIZES = {"smoke": (40, 25, 5, 2e-3), "quick": (200, 150, 250, 2e-3), "full": (600, 300, 500, 1e-3)}
"""Steps of pretraining, of each fine-tuning, of adaptation; its learning rate."""


def learnt(shared: Tuned, arm: str, seed: int, steps: int, lr: float) -> tuple[Tensor, list[float]]:
    """The weights by coefficients learnt from entropy, and the entropy at every step."""
    like = {f"network.{name}": value for name, value in shared.system.network.named_parameters()}
    merged = Merged(like, len(shared.system.tasks), "task" if arm == "task" else "layer")
    merged.base.copy_(shared.system.merged.base)
    merged.vectors.copy_(shared.system.merged.vectors)
    rows: dict[str, Batch] = dict(shared.rows["seen" if arm == "inductive" else "test"])
    history = adapt(shared.system, merged, rows, Adapting(steps=steps, lr=lr, seed=seed))
    return flatten(merged.weights()).detach(), history


def measure(arm: str, seed: int, size: str) -> Measured:
    """Fine-tune five models (once a seed), merge them by the arm, and score on test rows."""
    before, after, steps, lr = SIZES[size]
    shared = tuned(seed, before, after)
    base, vectors = shared.system.merged.base, shared.system.merged.vectors
    count, curve = base.numel() + sum(p.numel() for p in shared.system.heads.parameters()), [0.0]
    updates, tried = before + 3 * after * len(vectors), len(GRID) if arm in ("arithmetic", "ties") else 1
    if arm == "single":
        accuracy, half = (np.mean([v for n, v in shared.single.items() if n.endswith(" half") == h]) for h in (False, True))
        return Measured({"accuracy": float(accuracy), "half": float(half)}, count + 4 * base.numel(), updates)
    match arm:
        case "layer" | "task" | "inductive":
            weights, curve = learnt(shared, arm, seed, steps, lr)
            updates += steps
        case "arithmetic":
            weights = chosen(shared, vectors.sum(0))
        case "ties":
            weights = chosen(shared, disjoint_mean(elect([{"all": vector} for vector in vectors], 0.2))["all"])
        case "random":
            like = dict(shared.system.network.named_parameters())
            drawn = Merged(like, len(vectors))
            drawn.base.copy_(base)
            drawn.vectors.copy_(vectors)
            drawn.coefficients.data.uniform_(generator=torch.Generator().manual_seed(seed))
            weights = flatten(drawn.weights()).detach()
        case _:
            weights = base + (vectors.mean(0) if arm == "average" else 0)
    scores = {part: shared.score(weights, part) for part in ("test", "half")}
    metrics = {"accuracy": float(np.mean([right for right, _ in scores["test"].values()]))}
    metrics |= {"half": float(np.mean([right for right, _ in scores["half"].values()]))}
    metrics |= {"largest_class": float(np.mean([most for _, most in scores["test"].values()]))}
    if arm == "layer":
        metrics["correlation"] = correlation(shared, base + 0.3 * vectors.sum(0))
    return Measured(metrics, count, updates, tried=tried, curves={"entropy": curve} if len(curve) > 1 else {})
