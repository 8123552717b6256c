"""RecurrentVarNet on a scan of one's own, and how its blocks and tasks hang together."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from polytask.core import Record, Schema
from polytask.core.option import make
from polytask.engine.fit import fit
from polytask.nn.fourier import fft2c, ifft2c, sense_combine, sense_expand, sensitivities
from polytask.systems.recurrent_varnet import Options, RecurrentVarNet

h5py = pytest.importorskip("h5py")
SCHEMA = Schema.parse({"inputs": {"k": "kspace 2 8 8"}, "tasks": {"image": "map 8 8"}})
SMALL = {"blocks": 3, "hidden": 4, "layers": 2}


def build(schema: Schema = SCHEMA, **options: object) -> RecurrentVarNet:
    torch.manual_seed(0)
    return RecurrentVarNet.build(schema, make(Options, SMALL | options, "system"))


def test_blocks_follow_the_papers_equation_with_learnt_steps() -> None:
    column = SCHEMA.example(4).inputs["k"]
    assert isinstance(column, Record)
    measured, mask = column["kspace"], column["mask"]
    maps, system = sensitivities(measured, mask), build().eval()
    with torch.no_grad():
        system.steps.copy_(torch.tensor([0.7, 1.3]))
    assert system.initialise is not None

    def seen(y: Tensor) -> Tensor:
        return sense_combine(ifft2c(y), maps)

    y, h = measured, system.initialise(fft2c(seen(measured)).permute(0, 3, 1, 2))
    for step, regulariser in zip((1.0, 0.7, 1.3), system.regularisers, strict=True):
        w, h = regulariser(seen(y).permute(0, 3, 1, 2), h)
        error = torch.where(mask[:, None, None, :, None], y - measured, torch.zeros(()))
        y = y - step * error + fft2c(sense_expand(w.permute(0, 2, 3, 1), maps))  # plus, as in the authors' code
    torch.testing.assert_close(system.unroll(measured, mask, maps), y)


def test_steps_start_at_one_and_are_learnt() -> None:
    system = build()
    torch.testing.assert_close(system.steps.detach(), torch.ones(2))
    torch.autograd.backward(system.losses(SCHEMA.example(4))["image"])
    assert system.steps.grad is not None
    assert bool((system.steps.grad != 0).all())


@pytest.mark.parametrize("recurrence", [True, False])
def test_a_block_gets_the_state_of_the_one_before(recurrence: bool) -> None:
    given: list[Tensor] = []
    system = build(recurrence=recurrence)
    for regulariser in system.regularisers:
        regulariser.register_forward_pre_hook(lambda module, inputs: given.append(inputs[1].detach()))
    system(SCHEMA.example(3))
    assert [bool(state.any()) for state in given] == [recurrence] * 3


def test_tasks_read_one_image_in_their_own_scales() -> None:
    schema = Schema.parse({"inputs": {"k": "kspace 2 8 8"}, "tasks": {"a": "map 8 8", "b": "map 8 8"}})
    tasks = {"a": schema.tasks["a"], "b": replace(schema.tasks["b"], scale=4.0)}  # type: ignore[call-arg]
    outputs = build(Schema(schema.inputs, tasks))(schema.example(3))
    torch.testing.assert_close(outputs["a"], 4 * outputs["b"])


def test_a_scan_trains_without_declarations_and_beats_zero_filling(tmp_path: Path) -> None:
    place = np.linspace(-1, 1, 12)
    width = np.random.default_rng(0).uniform(0.1, 0.5, (24, 1, 1))
    images = np.exp(-(place[:, None] ** 2 + place**2) / width)
    coils = images[:, None] * np.exp(1j * np.array([0.0, 1.0]))[:, None, None] / 2**0.5
    spectrum = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(coils, (-2, -1)), norm="ortho"), (-2, -1))
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["kspace"] = spectrum.astype(np.complex64)
    scores = {}
    for network in ("varnet", "zero"):
        settings = {
            "inputs": {"kspace": {"acceleration": 3.0}},
            "training": {"epochs": 3, "steps": 12, "batch_size": 8, "seed": 0, "threads": 1, "lr": 5e-3},
            "system": SMALL | {"network": network},
        }
        run = fit(tmp_path / "scan.h5", {"image": "map"}, system="recurrent_varnet", settings=settings)
        scores[network] = run.scores["test"]["image"]
    assert scores["varnet"]["ssim"] > scores["zero"]["ssim"] + 0.02
    assert scores["varnet"]["nmse"] < scores["zero"]["nmse"]
