"""A fitted scikit-learn histogram gradient boosting model, kept as plain tensors: nothing is pickled."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from torch import Tensor, nn

from polytask.core import RunError

_FIELDS = tuple(PREDICTOR_RECORD_DTYPE.names)
_WIDE = {np.dtype("float32"): torch.float64, np.dtype("float64"): torch.float64}


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
        for name in (*_FIELDS, "sizes", "output", "sets", "members", "known", "numbers"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.int64))
        self._trees: list[TreePredictor] = []

    def forward(self, x: Float[Tensor, "rows features"]) -> Float[Tensor, "rows outputs"]:
        self._trees = self._trees or self._rebuild(x.shape[1])
        rows = np.ascontiguousarray(x.detach().cpu().numpy().astype(np.float64))
        known, numbers = self.known.cpu().numpy().astype(np.uint32), self.numbers.cpu().numpy().astype(np.uint32)
        total = np.tile(self.baseline.cpu().numpy(), (len(rows), 1))
        for tree, output in zip(self._trees, self.output.tolist(), strict=True):
            total[:, output] += tree.predict(rows, known, numbers, 1)
        return torch.from_numpy(total).float().to(x.device)

    def grow(self, model: Any, rounds: int) -> "Forest":
        """Take over the first `rounds` iterations of a fitted model."""
        iterations = model._predictors[:rounds]
        trees: list[TreePredictor] = [tree for iteration in iterations for tree in iteration]
        baseline = np.ravel(model._baseline_prediction)
        nodes = np.concatenate([tree.nodes for tree in trees]) if trees else np.zeros(0, PREDICTOR_RECORD_DTYPE)
        known, numbers = model._bin_mapper.make_known_categories_bitsets()
        sets = [np.asarray(tree.raw_left_cat_bitsets).reshape(-1, 8) for tree in trees]
        found = {name: nodes[name] for name in _FIELDS} | {
            "baseline": baseline,
            "sizes": np.array([len(tree.nodes) for tree in trees], dtype=np.int64),
            "output": np.tile(np.arange(len(baseline)), len(iterations)),
            "sets": np.array([len(part) for part in sets], dtype=np.int64),
            "members": np.concatenate(sets) if sets else np.zeros((0, 8)),
            "known": np.asarray(known).reshape(-1, 8),
            "numbers": np.asarray(numbers),
        }
        for name, values in found.items():
            dtype = _WIDE.get(values.dtype, torch.int64)
            setattr(self, name, torch.from_numpy(np.ascontiguousarray(values).astype(str(dtype).removeprefix("torch."))))
        self._trees = []
        return self

    def _rebuild(self, features: int) -> list[TreePredictor]:
        """scikit-learn's trees from the buffers. Raises `RunError` on numbers that no fitted model has."""
        nodes: Any = np.zeros(int(self.sizes.sum()), PREDICTOR_RECORD_DTYPE)
        for name in _FIELDS:
            nodes[name] = getattr(self, name).cpu().numpy()
        members = self.members.cpu().numpy().astype(np.uint32).reshape(-1, 8)
        trees, first, set_first = [], 0, 0
        for size, count in zip(self.sizes.tolist(), self.sets.tolist(), strict=True):
            own, sets = nodes[first : first + size], members[set_first : set_first + count]
            inner, above = own[own["is_leaf"] == 0], np.flatnonzero(own["is_leaf"] == 0)
            if not (
                len(own) == size > 0
                and np.all((inner["left"] < size) & (inner["right"] < size))
                and np.all((inner["left"] > above) & (inner["right"] > above))
                and np.all((inner["feature_idx"] >= 0) & (inner["feature_idx"] < features))
                and np.all(inner["bitset_idx"][inner["is_categorical"] == 1] < count)
            ):
                raise RunError.of("model.safetensors", "holds trees that cannot be walked", "It was damaged: train again")
            trees.append(TreePredictor(own.copy(), sets.copy(), sets.copy()))
            first, set_first = first + size, set_first + count
        return trees

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        """Take the sizes of the saved trees over: an untrained forest does not know them."""
        for name, buffer in self.named_buffers():
            saved = state_dict.get(prefix + name)
            if saved is not None:
                setattr(self, name, torch.empty_like(saved, device=buffer.device))
        self._trees = []
        super()._load_from_state_dict(state_dict, prefix, *args)  # type: ignore[no-untyped-call]
