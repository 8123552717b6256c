import os

import numpy as np
import pytest

from polytask.inputs._cache import cached, folder


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    monkeypatch.setenv("POLYTASK_CACHE", str(tmp_path / "cache"))


def never():
    raise AssertionError("computed again")


def test_an_array_is_computed_once_a_key():
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert np.array_equal(cached(["a", 1], lambda: array), array)
    found = cached(["a", 1], never)
    assert isinstance(found, np.memmap)
    assert np.array_equal(found, array)
    with pytest.raises(AssertionError, match="computed again"):
        cached(["a", 2], never)


def test_writing_to_the_array_leaves_the_file_alone():
    cached("k", lambda: np.zeros(3))[:] = 1
    assert cached("k", never).tolist() == [0, 0, 0]


@pytest.mark.parametrize("length", [0, 5, 60, 130])
def test_a_damaged_file_is_computed_anew(length):
    cached("k", lambda: np.ones(30))
    (file,) = folder().iterdir()
    file.write_bytes(file.read_bytes()[:length])
    assert cached("k", lambda: np.full(30, 2.0)).sum() == 60
    assert cached("k", never).sum() == 60


def test_pickles_are_refused():
    cached("k", lambda: np.ones(3))
    (file,) = folder().iterdir()
    np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    assert cached("k", lambda: np.zeros(3)).tolist() == [0, 0, 0]


def test_a_kill_while_writing_leaves_no_array(monkeypatch):
    child = os.fork()
    if not child:
        monkeypatch.setattr(os, "fsync", lambda _: os._exit(9))
        cached("k", lambda: np.ones(3))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert not list(folder().glob("*.npy"))
    assert cached("k", lambda: np.zeros(3)).tolist() == [0, 0, 0]


def test_a_failed_write_leaves_nothing_and_returns_the_array(monkeypatch):
    def full(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr(np, "save", full)
    assert cached("k", lambda: np.ones(3)).tolist() == [1, 1, 1]
    assert not list(folder().iterdir())
