"""RecurrentVarNet: data consistency in closed form, what the options change, and how rows stay apart."""

from typing import Any

import pytest
import torch

from polytask.core import OptionError, Record, Schema, registry
from polytask.core.option import make
from polytask.nn.fourier import fft2c, ifft2c, rss, sense_combine, sense_expand, sensitivities
from polytask.systems.recurrent_varnet import consistent

SCHEMA = Schema.parse({"inputs": {"kspace": "kspace 3 12 12"}, "tasks": {"image": "map 12 12"}})


def build(schema: Schema = SCHEMA, **options: object) -> Any:
    cls: Any = registry.load("recurrent_varnet")
    torch.manual_seed(0)
    return cls.build(schema, make(cls.options_type, {"blocks": 3, "hidden": 4, "layers": 1, **options}, "system")).eval()


def silent(system: Any) -> Any:
    """The system with regularisers that correct nothing."""
    for parameter in system.regularisers.parameters():
        torch.nn.init.zeros_(parameter)
    return system


def measured(rows: int = 4) -> tuple[Any, torch.Tensor, torch.Tensor]:
    batch = SCHEMA.example(rows)
    column = batch.inputs["kspace"]
    assert isinstance(column, Record)
    return batch, column["kspace"], column["mask"]


def test_a_full_step_puts_the_measured_lines_back_and_leaves_the_others() -> None:
    _, kspace, mask = measured()
    y = torch.randn_like(kspace)
    moved = consistent(y, kspace, mask, torch.tensor(1.0))
    lines = mask[:, None, None, :, None].expand_as(kspace)
    torch.testing.assert_close(moved[lines], kspace[lines])
    assert moved[~lines].equal(y[~lines])
    half = consistent(y, kspace, mask, torch.tensor(0.5))
    torch.testing.assert_close(half[lines], (y[lines] + kspace[lines]) / 2)


def test_without_corrections_the_measurement_is_a_fixed_point() -> None:
    _, kspace, mask = measured()
    maps = sensitivities(kspace, mask)
    torch.testing.assert_close(silent(build()).unroll(kspace, mask, maps), kspace)


def test_one_block_is_the_papers_equation() -> None:
    _, kspace, mask = measured()
    maps, system = sensitivities(kspace, mask), build(blocks=1)
    image = sense_combine(ifft2c(kspace), maps)
    state = system.initialise(fft2c(image).permute(0, 3, 1, 2))
    correction = system.regularisers[0](image.permute(0, 3, 1, 2), state)[0]
    by_hand = kspace + fft2c(sense_expand(correction.permute(0, 2, 3, 1), maps))  # with a plus sign; the first step is 0
    torch.testing.assert_close(system.unroll(kspace, mask, maps), by_hand)


def test_zero_filling_is_the_root_sum_of_squares() -> None:
    batch, kspace, _ = measured()
    column: Any = batch.inputs["kspace"]
    system = build(network="zero")
    assert system.stages() == []
    assert list(system.parameters()) == []
    by_hand = rss(ifft2c(kspace)) * column["scale"][:, None, None] * system.scales["image"]
    torch.testing.assert_close(system(batch)["image"].reshape(by_hand.shape), by_hand)


def test_the_state_matters_only_where_it_runs_through() -> None:
    def changed(**options: object) -> bool:
        """Whether the reset gates, which act on earlier states alone, change anything."""
        system = build(**options)
        _, kspace, mask = measured()
        maps = sensitivities(kspace, mask)
        before = system.unroll(kspace, mask, maps)
        gates = [p for name, p in system.regularisers.named_parameters() if "reset" in name]
        assert gates
        for parameter in gates:
            torch.nn.init.constant_(parameter, 3.0)
        return not torch.allclose(before, system.unroll(kspace, mask, maps))

    assert changed(initialiser=False)
    assert not changed(recurrence=False)
    assert build(recurrence=False).initialise is None


@pytest.mark.parametrize("shared", [False, True])
def test_blocks_have_weights_of_their_own_or_share_them(shared: bool) -> None:
    one, three = (sum(p.numel() for p in build(blocks=b, shared=shared).regularisers.parameters()) for b in (1, 3))
    assert three == (one if shared else 3 * one)


def test_a_row_without_measurement_changes_no_other() -> None:
    batch, _, _ = measured()
    system = build()
    rest = torch.arange(1, len(batch))
    torch.testing.assert_close(system(batch)["image"][1:], system(batch.index(rest))["image"])


@pytest.mark.parametrize(
    ("inputs", "tasks", "says"),
    [
        ({"age": "number"}, {"image": "map 12 12"}, "needs one input of kind kspace; found 0"),
        ({"kspace": "kspace 3 12 12"}, {"image": "map 8 8"}, "task 'image' is no image of 12 x 12 pixels"),
        ({"kspace": "kspace 3 12 12"}, {"died": "binary"}, "task 'died' is no image of 12 x 12 pixels"),
    ],
)
def test_what_it_cannot_read_is_refused(inputs: dict, tasks: dict, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        build(Schema.parse({"inputs": inputs, "tasks": tasks}))
