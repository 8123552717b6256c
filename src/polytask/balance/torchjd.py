"""All weightings and aggregators of torchjd (https://torchjd.org), whose options are the arguments of torchjd's classes.

torchjd's mean, sum, constant and random weightings are `equal`, `fixed` and `rlw` here; its CR-MOGM and Excess-MTL are `crmogm`
and `excessmtl`, which know of tasks that a batch lacks.
"""

cards = {
    "alignedmtl": {
        "title": "Independent Component Alignment for Multi-Task Learning",
        "paper": "https://arxiv.org/abs/2305.19000",
        "year": 2023,
        "kind": "gradients",
    },
    "cagrad": {
        "title": "Conflict-Averse Gradient Descent for Multi-task Learning",
        "paper": "https://arxiv.org/abs/2110.14048",
        "year": 2021,
        "kind": "gradients",
        "extra": "balance",
    },
    "config": {
        "title": "ConFIG: Towards Conflict-free Training of Physics Informed Neural Networks",
        "paper": "https://arxiv.org/abs/2408.11104",
        "year": 2024,
        "kind": "gradients",
    },
    "dualproj": {
        "title": "Gradient Episodic Memory for Continual Learning (projection of the mean onto the dual cone)",
        "paper": "https://arxiv.org/abs/1706.08840",
        "year": 2017,
        "kind": "gradients",
        "extra": "balance",
    },
    "fairgrad": {
        "title": "Fair Resource Allocation in Multi-Task Learning",
        "paper": "https://arxiv.org/abs/2402.15638",
        "year": 2024,
        "kind": "gradients",
    },
    "graddrop": {
        "title": "Just Pick a Sign: Optimizing Deep Multitask Models with Gradient Sign Dropout",
        "paper": "https://arxiv.org/abs/2010.06808",
        "year": 2020,
        "kind": "gradients",
    },
    "gradvac": {
        "title": "Gradient Vaccine: Investigating and Improving Multi-task Optimization in Massively Multilingual Models",
        "paper": "https://arxiv.org/abs/2010.05874",
        "year": 2021,
        "kind": "gradients",
    },
    "imtlg": {
        "title": "Towards Impartial Multi-task Learning (IMTL-G)",
        "paper": "https://openreview.net/forum?id=IMPnRXEWpvr",
        "year": 2021,
        "kind": "gradients",
    },
    "krum": {
        "title": "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent",
        "paper": "https://papers.nips.cc/paper/6617-machine-learning-with-adversaries-byzantine-tolerant-gradient-descent",
        "year": 2017,
        "kind": "gradients",
    },
    "mgda": {
        "title": "Multi-Task Learning as Multi-Objective Optimization (MGDA)",
        "paper": "https://arxiv.org/abs/1810.04650",
        "year": 2018,
        "kind": "gradients",
    },
    "modo": {
        "title": "Three-Way Trade-Off in Multi-Objective Learning: Optimization, Generalization and Conflict-Avoidance",
        "paper": "https://arxiv.org/abs/2305.20057",
        "year": 2024,
        "kind": "gradients",
    },
    "nashmtl": {
        "title": "Multi-Task Learning as a Bargaining Game",
        "paper": "https://arxiv.org/abs/2202.01017",
        "year": 2022,
        "kind": "gradients",
        "extra": "balance",
    },
    "pcd": {
        "title": "Not All Objectives Are Born Equal: "
        "Priority-Constrained Descent for Hierarchical Multi-Objective Optimization",
        "paper": "https://arxiv.org/abs/2606.29521",
        "year": 2026,
        "kind": "gradients",
    },
    "pcgrad": {
        "title": "Gradient Surgery for Multi-Task Learning",
        "paper": "https://arxiv.org/abs/2001.06782",
        "year": 2020,
        "kind": "gradients",
    },
    "sdmgrad": {
        "title": "Direction-oriented Multi-objective Learning: Simple and Provable Stochastic Algorithms",
        "paper": "https://arxiv.org/abs/2305.18409",
        "year": 2023,
        "kind": "gradients",
    },
    "trimmedmean": {
        "title": "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates",
        "paper": "https://arxiv.org/abs/1803.01498",
        "year": 2018,
        "kind": "gradients",
    },
    "upgrad": {
        "title": "Jacobian Descent For Multi-Objective Optimization",
        "paper": "https://arxiv.org/abs/2406.16232",
        "year": 2024,
        "kind": "gradients",
        "extra": "balance",
    },
}

from functools import cache
from typing import Any

from torchjd import aggregation

from . import _torchjd
from ._torchjd import Given, TorchjdRule, made

_DEFAULTS: dict[str, Given] = {
    "cagrad": {"c": (0.4, "the paper's on NYUv2")},
    "fairgrad": {"alpha": (1.0, "proportional fairness; the paper searches from 1 to 10")},
    "krum": {"n_byzantine": (1, "the least that tells an outlier")},
    "trimmedmean": {"trim_number": (1, "the least that trims")},
}
_DRAW = {"graddrop", "gradvac", "pcgrad"}
_RULES: dict[str, tuple[Any, type[TorchjdRule]]] = {
    "alignedmtl": (aggregation.AlignedMTLWeighting, TorchjdRule),
    "cagrad": (aggregation.CAGradWeighting, TorchjdRule),
    "config": (aggregation.ConFIG, _torchjd.ByRoot),
    "dualproj": (aggregation.DualProjWeighting, TorchjdRule),
    "fairgrad": (aggregation.FairGradWeighting, _torchjd.FairGrad),
    "graddrop": (aggregation.GradDrop, _torchjd.Elementwise),
    "gradvac": (aggregation.GradVacWeighting, _torchjd.GradVac),
    "imtlg": (aggregation.IMTLGWeighting, TorchjdRule),
    "krum": (aggregation.KrumWeighting, _torchjd.Krum),
    "mgda": (aggregation.MGDAWeighting, _torchjd.MGDA),
    "modo": (aggregation.MoDoWeighting, _torchjd.MoDo),
    "nashmtl": (aggregation.NashMTL, _torchjd.NashMTL),
    "pcd": (aggregation.PCDWeighting, _torchjd.PCD),
    "pcgrad": (aggregation.PCGradWeighting, TorchjdRule),
    "sdmgrad": (aggregation.SDMGradWeighting, _torchjd.SDMGrad),
    "trimmedmean": (aggregation.TrimmedMean, _torchjd.TrimmedMean),
    "upgrad": (aggregation.UPGradWeighting, TorchjdRule),
}


@cache
def rule(id: str) -> type[TorchjdRule]:
    """The class of one of the rules."""
    source, base = _RULES[id]
    return made(id, source, base, _DEFAULTS.get(id, {}), id in _DRAW)
