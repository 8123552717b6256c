"""Data that come after training, and files that rows name: `predict` and `evaluate` name what is wrong and write nothing."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_run import FAST, files, polytask, table

ROWS = 60


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    table(ROWS).to_csv(folder / "my.csv", index=False)
    flags = ["--tasks", "cost,ill,ward", "--out", str(folder / "run"), "--epochs", "1", *FAST[2:]]
    assert polytask("fit", str(folder / "my.csv"), *flags).code == 0
    return folder / "run"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POLYTASK_CACHE", str(tmp_path / "cache"))


NEW = table(30)
TEXT = pd.Series(["old"] * 30)


@pytest.mark.parametrize(
    ("frame", "texts"),
    [
        (NEW.drop(columns="age"), ["column 'age': is missing. Known: cost, dose, ill, ward."]),
        (
            NEW.rename(columns={"age": "Age", "dose": "dose_mg"}),
            ["column 'age': is missing. Did you mean 'Age'?", "column 'dose': is missing. Did you mean 'dose_mg'?"],
        ),
        (
            NEW.assign(age="old", dose=[f"{value} mg" for value in range(30)]),
            [
                "column 'age': 30 of 30 cells are not numbers (row 0: 'old', row 1: 'old'",
                "column 'dose': 30 of 30 cells are not",
            ],
        ),
        (NEW.assign(age=[*["1"] * 29, "old"]), ["column 'age': 1 of 30 cells are not numbers (row 29: 'old')"]),
        (NEW.assign(age=[*[1.0] * 29, np.inf]), ["column 'age': 1 of 30 cells are infinite or too large (row 29: inf)"]),
        (NEW.head(0), ["new.csv: has a header and no rows"]),
    ],
)
def test_predict_names_the_columns(frame: pd.DataFrame, texts: list[str], trained: Path, work: None) -> None:
    frame.to_csv("new.csv", index=False)
    found = polytask("predict", str(trained), "new.csv", "--out", "p.csv")
    assert found.code == 2
    for text in texts:
        assert text in found.err
    assert files(Path()).keys() == {"new.csv"}


def test_more_columns_new_categories_and_gaps_are_no_fault(trained: Path, work: None) -> None:
    frame = NEW.assign(more=1, age=[np.nan] * 29 + [1e308]).drop(columns=["cost", "ill"])
    frame.to_csv("new.csv", index=False)
    assert polytask("predict", str(trained), "new.csv", "--out", "p.csv").code == 0
    assert len(pd.read_csv("p.csv")) == 30


@pytest.mark.parametrize(
    ("out", "text"),
    [
        ("no/p.csv", "no/p.csv: no folder 'no' to write to. Make it first"),
        ("p.xlsx", "p.xlsx: unknown suffix '.xlsx'"),
        ("here.csv", "here.csv: is a folder. Name a file to write"),
        ("new.csv", "new.csv: is the file of the data, which would be lost. Choose another --out"),
    ],
)
def test_places_where_predictions_cannot_go(out: str, text: str, work: None) -> None:
    Path("here.csv").mkdir()
    NEW.to_csv("new.csv", index=False)
    before = files(Path())
    assert text in polytask("predict", "any", "new.csv", "--out", out).err
    assert files(Path()) == before


def test_evaluate_with_classes_that_training_did_not_see(trained: Path, work: None) -> None:
    NEW.assign(ward="attic", ill=[*NEW["ill"][:-1], "maybe"]).to_csv("new.csv", index=False)
    found = polytask("evaluate", str(trained), "new.csv")
    assert found.code == 0
    assert (
        "warning: column 'ward': 30 rows count as unlabelled, for too few training rows have their class ('attic'" in found.err
    )
    assert (
        "column 'ill': 1 row counts as unlabelled, for too few training rows have their class ('maybe' in 1; first in"
        in found.err
    )
    NEW[["age", "dose"]].to_csv("new.csv", index=False)
    assert (
        "no row has a label of any task. The data need some of: cost, ill, ward"
        in polytask("evaluate", str(trained), "new.csv").err
    )


def test_images_that_cannot_be_read(work: None) -> None:
    image = pytest.importorskip("PIL.Image")
    Path("img").mkdir()
    for row in range(ROWS):
        image.new("RGB", (8, 8), (row, 0, 99)).save(f"img/{row}.png")
    whole = Path("img/3.png").read_bytes()
    Path("img/3.png").write_bytes(whole[: len(whole) // 2])
    Path("img/4.png").unlink()
    Path("img/5.png").write_bytes(b"")
    Path("img/6.png").write_text("no image")
    image.new("1", (20_000, 20_000)).save("img/7.png")
    table(ROWS).assign(pic=[f"img/{row}.png" for row in range(ROWS)]).to_csv("my.csv", index=False)
    found = polytask("fit", "my.csv", "--tasks", "cost", "--out", "runs/a", *FAST)
    assert found.code == 2
    assert "column 'pic': 5 of 60 files cannot be read (row 3: 'img/3.png' (" in found.err
    assert "row 4: 'img/4.png' (no such file); row 5: 'img/5.png' (cannot identify image file" in found.err
    assert "row 7: 'img/7.png' (Image size (400000000 pixels) exceeds limit" in found.err
    assert "Correct the paths, set `root` (the folder that relative paths start from), or leave the cells empty" in found.err
    assert not Path("runs").exists()


def test_sounds_that_cannot_be_read(work: None) -> None:
    soundfile = pytest.importorskip("soundfile")
    Path("snd").mkdir()
    for row in range(ROWS):
        soundfile.write(f"snd/{row}.wav", np.sin(np.arange(400.0) * row), 8000)
    Path("snd/3.wav").write_bytes(Path("snd/3.wav").read_bytes()[:30])
    Path("snd/4.wav").unlink()
    Path("snd/5.wav").write_text("no sound")
    Path("snd/6.wav").write_bytes(Path("snd/6.wav").read_bytes()[:44])
    soundfile.write("snd/7.wav", np.full(400, np.nan), 8000, subtype="FLOAT")
    table(ROWS).assign(sound=[f"snd/{row}.wav" for row in range(ROWS)]).to_csv("my.csv", index=False)
    found = polytask("fit", "my.csv", "--tasks", "cost", "--out", "runs/a", *FAST)
    assert found.code == 2
    assert "column 'sound': 5 of 60 files cannot be read (row 3: 'snd/3.wav' (" in found.err
    assert (
        "row 4: 'snd/4.wav' (no such file); row 5: 'snd/5.wav' (Format not recognised); row 6: 'snd/6.wav' (holds no"
        in found.err
    )
    assert "row 7: 'snd/7.wav' (holds samples that are infinite or no numbers)" in found.err


def test_five_thousand_columns(work: None) -> None:
    names = [f"a column with a long name {number}" for number in range(5000)]
    lines = [",".join(names), *(",".join(str(row * number) for number in range(5000)) for row in range(8))]
    Path("wide.csv").write_text("\n".join(lines))
    assert len(lines[0]) > 1 << 16
    assert "Did you mean 'a column with a long name 4999'?" in polytask("init", "wide.csv", "--tasks", f"{names[-1]}9").err
