"""Options and configurations that cannot be: each is named with its value and the way out, and nothing is written."""

from pathlib import Path

import pytest
from cli_run import files, refused, table

FIT = "fit my.csv --tasks cost"


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    table().to_csv("my.csv", index=False)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (f"{FIT} --epochs 0", "training.epochs: must be int >= 1; got 0"),
        (f"{FIT} --epochs 1.5", "Invalid value for '--epochs'"),
        (f"{FIT} --seed -1", "training.seed: must be int >= 0; got -1"),
        (f"{FIT} --set training.lr=inf", "training.lr: must be a finite number; got 'inf'"),
        (f"{FIT} --set training.lr=nan", "training.lr: must be float > 0; got 'nan'"),
        (f"{FIT} --set training.lr=", "training.lr: must be float > 0; got ''"),
        (f"{FIT} --set training.lr.x=3", "training.lr: must be float > 0; got {'x': '3'}"),
        (f"{FIT} --set training.seed=99999999999999999999", "training.seed: must be 9007199254740992 at most; got '9999"),
        (
            f"{FIT} --set training.optimizer=adam",
            "must be one of adamw, sgd; got 'adam'. Did you mean 'adamw'?",
        ),
        (f"{FIT} --set training.loggers=wandb", "training.loggers: must be a list of one of tensorboard, mlflow; got 'wandb'"),
        (f"{FIT} --set width=many", "hard_sharing.width: must be int >= 1; got 'many'"),
        (f"{FIT} --set width=1000000000000000", "memory: is not enough"),
        (f"{FIT} --set widht=8", "hard_sharing.widht: unknown option. Did you mean 'width'?"),
        (f"{FIT} --set width", "--set: 'width' is not KEY=VALUE. Write for example --set width=128"),
        (f"{FIT} --set =3", "'=3' is not KEY=VALUE"),
        (f"{FIT} --set width=3 --set width.x=4", "--set width.x=4: 'width' has a value of its own"),
        (f"{FIT} --set training.lr=1 --set training=4", "--set training=4: 'training' has options of its own"),
        (f"{FIT} --set ignore=nope", "no column 'nope'"),
        (f"{FIT} --set trainin.lr=3", "--set trainin: no such section. Did you mean 'training'?"),
        (f"{FIT} --set tasks.cost.kind=regresion", "unknown kind 'regresion'. Did you mean 'regression'?"),
        (f"{FIT} --set data=other.csv", "--set data: is the first argument"),
        (f"{FIT} --group ward --time age", "--group, --time: are two ways to split. Give one of them"),
        (f"{FIT} --epochs 3 --resume run", "--resume: goes on with a run as it began, without DATA, --tasks, --epochs"),
        (f"{FIT} --system mmo", "unknown name 'mmo'. Did you mean 'mmoe'?"),
        (f"{FIT} --set system.name=mmo", "unknown name 'mmo'. Did you mean 'mmoe'?"),
        (f"{FIT} --balancer fam", "unknown name 'fam'. Did you mean 'famo'?"),
        (f"{FIT} --balancer famo --set balancer.lrr=1", "famo.lrr: unknown option. Did you mean 'lr'?"),
        (f"{FIT} --balancer flat_mtl_sam --set balancer.given=3", "flat_mtl_sam.given: must be a mapping or none; got '3'"),
        (f"{FIT} --set split.how=rondom", "got 'rondom'. Did you mean 'random'?"),
        (f"{FIT} --set mix.policy=x", "mix.policy: must be one of proportional, temperature, round_robin; got 'x'"),
        (f"{FIT} --set inputs.age=numbr", "unknown kind 'numbr'. Did you mean 'number'?"),
        (f"{FIT} --set training.accelerator=gpux", "training.accelerator: You selected an invalid accelerator name"),
        (f"{FIT} --precision 16-tru", "training.precision: Precision '16-tru' is invalid"),
        (f"{FIT} --strategy foo", "training.strategy: You selected an invalid strategy name"),
        (f"{FIT} --from nowhere", "nowhere: is not the folder of a run"),
        ("fit --resume my.csv", "my.csv: is not the folder of a run"),
    ],
)
def test_options_are_named_with_value_and_fix(arguments: str, text: str, work: Path) -> None:
    assert text in refused(*arguments.split())
    assert files(work).keys() == {"my.csv"}


def test_more_processes_than_cores(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    text = refused(*f"{FIT} --devices 3 --set training.accelerator=cpu --out run".split())
    assert "training.devices: 3 asked for; this machine has 2 processor cores and no other device. Give 2 at most" in text
    assert files(work).keys() == {"my.csv"}


GOOD = "data: my.csv\ntasks: [cost]\n"
CONFIGURATIONS: dict[str, tuple[str | bytes, str]] = {
    "key twice": (GOOD + "tasks: [ill]\n", "c.yaml: is not YAML: line 3, column 1: the key 'tasks' stands twice"),
    "option twice": (GOOD + "training:\n  lr: 1\n  lr: 2\n", "line 5, column 3: the key 'lr' stands twice"),
    "unknown section": (GOOD + "traning: {lr: 1}\n", "c.yaml: traning: unknown name 'traning'. Did you mean 'training'?"),
    "unknown option": (GOOD + "training: {lrr: 1}\n", "training.lrr: unknown option. Did you mean 'lr'?"),
    "unknown option of the system": (
        GOOD + "system: {widht: 1}\n",
        "hard_sharing.widht: unknown option. Did you mean 'width'?",
    ),
    "unknown option of a task": (
        "data: my.csv\ntasks: {cost: {kind: regression, scal: log}}\n",
        "tasks.cost.scal: unknown option. Did you mean 'scale'?",
    ),
    "unknown option of an input": (
        GOOD + "inputs: {age: {kind: number, bin: 3}}\n",
        "inputs.age.bin: unknown option",
    ),
    "unknown key of a source": ("data: [{file: my.csv, task: [cost]}]\ntasks: [cost]\n", "c.yaml: data[0].task: unknown key"),
    "unknown task of a source": (
        "data: [{file: my.csv, tasks: [csot]}]\ntasks: [cost]\n",
        "data[0].tasks: unknown name 'csot'. Did you mean 'cost'?",
    ),
    "aliases": ("a: &a [x, x]\nb: &b [*a, *a]\n" + GOOD, "line 2, column 8: aliases are not allowed"),
    "deep": ("data: " + "[" * 5000, "is nested more than 32 deep"),
    "huge": ("#" * 1_000_001, "c.yaml: is larger than any configuration. Is it a data file?"),
    "tabs": ("data: my.csv\ntasks:\n\t- cost\n", "line 3, column 1: while scanning for the next token found character '\\t'"),
    "code": (
        GOOD + "ignore: !!python/object/apply:os.system ['touch hacked']\n",
        "column 9: could not determine a constructor",
    ),
    "no mapping": ("- cost\n", "c.yaml: must be a mapping of polytask, data, tasks"),
    "empty": ("", "c.yaml: must be a mapping of"),
    "two documents": (GOOD + "---\n" + GOOD, "but found another document"),
    "bytes": (bytes(range(256)), "c.yaml: is not YAML: unacceptable character #x0080"),
    "long number": (GOOD + "ignore: " + "9" * 5000, "line 3, column 9: Exceeds the limit"),
    "key is a list": (GOOD + "? [a, b]\n: x\n", "line 3, column 3: a key must be a name"),
    "data is a number": ("data: 3\ntasks: [cost]\n", "c.yaml: data: must be a name or a list or a mapping; got 3"),
    "source is a list": ("data: [[my.csv]]\ntasks: [cost]\n", "c.yaml: data[0]: must be a file or a mapping; got ['my.csv']"),
    "tasks of a source": (
        "data: [{file: my.csv, tasks: 3}]\ntasks: [cost]\n",
        "data[0].tasks: must be a list of names; got 3",
    ),
    "task is a number": ("data: my.csv\ntasks: {cost: 3}\n", "tasks.cost: cannot be declared by 3. Write a kind"),
    "task is a mapping": (
        "data: my.csv\ntasks: [{cost: count}]\n",
        "must be the name of a column; got {'cost': 'count'}",
    ),
    "columns are a number": (
        "data: my.csv\ntasks: {cost: {columns: 3}}\n",
        "columns: must be names of columns; got 3",
    ),
    "split is a word": (GOOD + "split: random\n", "c.yaml: split: must be a mapping; got 'random'"),
    "system is a list": (GOOD + "system: [ple]\n", "c.yaml: system: must be a name or a mapping; got ['ple']"),
    "system is a number": (GOOD + "system: {name: 3}\n", "system: unknown name '3'"),
    "a truth value": (GOOD + "training: {epochs: true}\n", "training.epochs: must be int >= 1; got True"),
    "a date": (GOOD + "training: {epochs: 2020-01-01}\n", "training.epochs: must be int >= 1; got '2020-01-01'"),
    "a word of YAML 1.1": ("data: my.csv\ntasks: [no]\n", "task 'no': no column 'no'"),
    "newer": (GOOD + "polytask: 99.0.0\n", "c.yaml: polytask: was written by polytask 99.0.0"),
}


@pytest.mark.parametrize("case", CONFIGURATIONS)
def test_configurations_are_named_with_place_and_fix(case: str, work: Path) -> None:
    content, text = CONFIGURATIONS[case]
    Path("c.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert text in refused("fit", "c.yaml")
    assert files(work).keys() == {"my.csv", "c.yaml"}


def test_every_fault_of_a_configuration_at_once() -> None:
    Path("c.yaml").write_text(
        GOOD + "training: {lr: 0, epochs: many}\nsplit: {hw: 1}\nsystem: {name: ple, widht: 2}\nignore: [~]\n"
    )
    lines = refused("fit", "c.yaml").splitlines()
    assert [line.split(": ")[1] for line in lines] == ["split.hw", "training.lr", "training.epochs", "ple.widht", "ignore[0]"]
