"""A fitted scikit-learn histogram gradient boosting model, kept as plain tensors: nothing is pickled."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from torch import Tensor, nn

from polytask.core import RunError

_INNER = ("feature_idx", "num_threshold", "missing_go_to_left", "left", "right", "is_categorical", "bitset_idx")
_WALKED = ("value", "is_leaf", *_INNER)
"""What a prediction reads of a node."""
_WORDS = 8  # of 32 bits: a set of categories
_NEVER = -14.0
"""The score of a class that training rows lack: about one in a million."""


class Forest(nn.Module):
    """Boosted trees: `(rows, features)` with NaN for missing -> raw scores `(rows, outputs)`.

    The nodes of all trees lie one after another, a buffer a field. scikit-learn's own compiled walk predicts from them, on the
    processor. Category features hold whole numbers from 0; one that training rows did not have counts as missing.
    """

    baseline: Tensor
    sizes: Tensor
    output: Tensor
    sets: Tensor
    members: Tensor
    known: Tensor
    numbers: Tensor

    def __init__(self, outputs: int = 1) -> None:
        super().__init__()
        self.register_buffer("baseline", torch.zeros(outputs, dtype=torch.float64))
        for name in (*_WALKED, "sizes", "output", "sets", "numbers"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.int64))
        for name in ("members", "known"):
            self.register_buffer(name, torch.zeros(0, _WORDS, dtype=torch.int64))
        self._trees: list[TreePredictor] = []

    def forward(self, x: Float[Tensor, "rows features"]) -> Float[Tensor, "rows outputs"]:
        self._trees = self._trees or self._rebuild(x.shape[1])
        rows = np.ascontiguousarray(x.detach().cpu().numpy().astype(np.float64))
        known, numbers = self.known.cpu().numpy().astype(np.uint32), self.numbers.cpu().numpy().astype(np.uint32)
        total = np.tile(self.baseline.cpu().numpy(), (len(rows), 1))
        for tree, output in zip(self._trees, self.output.tolist(), strict=True):
            total[:, output] += tree.predict(rows, known, numbers, 1)
        return torch.from_numpy(total).float().to(x.device)

    def always(self, label: int) -> None:
        """Stay without trees: whatever the row, the answer is the only class that training rows have."""
        self.baseline.fill_(_NEVER)
        if len(self.baseline) > 1:
            self.baseline[label] = 0.0
        elif label:
            self.baseline.neg_()

    def grow(self, model: Any, rounds: int) -> None:
        """Take over the first `rounds` iterations of a fitted model; a classifier's classes are the numbers of outputs."""
        iterations = model._predictors[:rounds]
        trees: list[TreePredictor] = [tree for iteration in iterations for tree in iteration]
        raw = np.ravel(model._baseline_prediction)
        places, baseline = np.arange(len(raw)), raw
        if len(self.baseline) > 1:
            places = model.classes_[-len(raw) :]  # of two classes, scikit-learn scores the second
            baseline = np.full(len(self.baseline), _NEVER)
            baseline[model.classes_] = 0.0
            baseline[places] = raw
        nodes = np.concatenate([np.zeros(0, PREDICTOR_RECORD_DTYPE), *(tree.nodes for tree in trees)])
        known, numbers = model._bin_mapper.make_known_categories_bitsets()
        sets = [np.asarray(tree.raw_left_cat_bitsets).reshape(-1, _WORDS) for tree in trees]
        self._keep(
            {name: nodes[name] for name in _WALKED}
            | {
                "baseline": baseline,
                "sizes": np.array([len(tree.nodes) for tree in trees], dtype=np.int64),
                "output": np.tile(places, len(iterations)),
                "sets": np.array([len(part) for part in sets], dtype=np.int64),
                "members": np.concatenate([np.zeros((0, _WORDS), np.int64), *sets]),
                "known": np.asarray(known).reshape(-1, _WORDS),
                "numbers": np.asarray(numbers),
            }
        )

    def _keep(self, found: dict[str, Any]) -> None:
        for name, values in found.items():
            setattr(self, name, torch.from_numpy(values.astype(np.float64 if values.dtype.kind == "f" else np.int64)))
        self._trees = []

    def _rebuild(self, features: int) -> list[TreePredictor]:
        """scikit-learn's trees from the buffers. Raises `RunError` on numbers that no fitted model has."""
        saved: dict[str, Any] = {name: buffer.cpu().numpy() for name, buffer in self.named_buffers()}
        if not (_fits(saved) and _walkable(saved, features)):
            raise RunError.of("model.safetensors", "holds trees that cannot be walked", "It was damaged: train again")
        nodes: Any = np.zeros(len(saved["value"]), PREDICTOR_RECORD_DTYPE)
        for name in _WALKED:
            nodes[name] = saved[name]
        ends, set_ends = saved["sizes"].cumsum(), saved["sets"].cumsum()
        members = saved["members"].astype(np.uint32)
        parts = zip(saved["sizes"], ends, saved["sets"], set_ends, strict=True)
        each = [(nodes[end - size : end], members[set_end - count : set_end]) for size, end, count, set_end in parts]
        return [TreePredictor(own, sets, sets) for own, sets in each]

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        """Take the sizes of the saved trees over: an untrained forest does not know them."""
        for name, buffer in self.named_buffers():
            saved = state_dict.get(prefix + name)
            if saved is not None:
                setattr(self, name, torch.empty_like(saved, device=buffer.device))
        self._trees = []
        super()._load_from_state_dict(state_dict, prefix, *args)  # type: ignore[no-untyped-call]


def _fits(saved: dict[str, Any]) -> bool:
    """Whether the buffers have the lengths that they give each other."""
    sizes, sets = saved["sizes"], saved["sets"]
    return bool(
        sizes.shape == sets.shape == saved["output"].shape
        and np.all(sizes > 0)
        and np.all(sets >= 0)
        and all(saved[name].shape == (sizes.sum(),) for name in _WALKED)
        and saved["members"].shape == (sets.sum(), _WORDS)
        and saved["known"].shape[1:] == (_WORDS,)
        and saved["baseline"].ndim == 1
        and np.all((saved["output"] >= 0) & (saved["output"] < len(saved["baseline"])))
    )


def _walkable(saved: dict[str, Any], features: int) -> bool:
    """Whether every inner node leads to later nodes of its own tree, and reads a feature and a set that there are."""
    sizes = saved["sizes"]
    size, sets = np.repeat(sizes, sizes), np.repeat(saved["sets"], sizes)
    place = np.arange(len(size)) - np.repeat(sizes.cumsum() - sizes, sizes)
    inner = saved["is_leaf"] == 0
    place, size, sets = place[inner], size[inner], sets[inner]
    feature, _, _, left, right, is_category, set_number = (saved[name][inner] for name in _INNER)
    if not np.all((place < left) & (left < size) & (place < right) & (right < size) & (feature >= 0) & (feature < features)):
        return False
    categories = feature[is_category != 0]
    number, set_number, sets = saved["numbers"], set_number[is_category != 0], sets[is_category != 0]
    return bool(
        np.all(categories < len(number))
        and np.all((number[categories] >= 0) & (number[categories] < len(saved["known"])))
        and np.all((set_number >= 0) & (set_number < sets))
    )
