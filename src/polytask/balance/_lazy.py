"""Buffers whose size is known only once gradients have been seen."""

from typing import Any

from polytask.core import Weighting


class LazyBuffers(Weighting):
    """Takes the sizes of its buffers from the state that is loaded."""

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *others: Any) -> None:
        for name, buffer in self._buffers.items():
            if buffer is not None and prefix + name in state_dict:
                self._buffers[name] = buffer.new_zeros(state_dict[prefix + name].shape)
        super()._load_from_state_dict(state_dict, prefix, *others)
