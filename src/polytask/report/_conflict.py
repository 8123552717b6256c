"""Which tasks pull together and which pull apart: cosines of their gradients, over training and on the mean."""

import math
from collections.abc import Mapping, Sequence
from html import escape

from . import _measures, _parts, _svg
from ._measures import Conflict
from ._source import Told

_APART = -0.05
"""A mean cosine below which a pair is said to pull apart."""
_STEPS = 40
"""Epochs that the slider goes through, at most."""
_DRAWN = 8
LEAD = (
    "The cosine between the gradients of two tasks' losses, at what they share: <b>+1</b> where one step helps both, <b>−1</b> where "
    "each undoes the other, <b>0</b> where they do not meddle. Taken on one batch, in every epoch or, where that is dear, in epochs 1, 2, 4, 8, ... Tasks are in the order of a hierarchical "
    "clustering, so that those which go together stand together."
)


def of_run(run: Told) -> str:
    """The conflict of one run."""
    if run.gradients is None:
        return _parts.nothing(run.absent("gradients.parquet"))
    found = _measures.conflict([run.gradients])
    return _figure(found, "cosines") if found else _parts.nothing("the gradients of two tasks never met in this run")


def of_all(cells: Mapping[str, Sequence[Told]]) -> str:
    """The conflict of each system, the mean over seeds."""
    options = []
    for place, (name, runs) in enumerate(cells.items()):
        found = _measures.conflict([run.gradients for run in runs if run.gradients is not None])
        if found:
            options.append((name, _figure(found, f"cosines-{place}")))
    if not options:
        runs = [run for each in cells.values() for run in each]
        return _parts.nothing(runs[0].absent("gradients.parquet") if runs else "the folders of the runs are gone")
    return _parts.choice("conflict-of", "System", options)


def _figure(found: Conflict, id: str) -> str:
    return (
        f'<p class="says">{escape(sentence(found))}</p><div class="beside-each-other"><div>{_matrix(found, id)}</div>'
        f"<div>{_tree(found)}</div></div>{_over_time(found)}"
    )


def sentence(found: Conflict) -> str:
    """What the figures come to."""
    pairs = found.pairs()
    if not pairs:
        return "No pair of tasks had gradients at once."
    apart = [pair for pair in pairs if pair[2] < _APART]
    first, last = pairs[0], pairs[-1]
    if apart:
        told = "; ".join(
            f"{a} and {b} ({_svg.number(mean, True)}, negative in {share:.0%} of the looks)" for a, b, mean, share in apart[:4]
        )
        text = f"{len(apart)} of {len(pairs)} pairs pull apart on the mean: {told}."
    else:
        text = f"No pair pulls apart on the mean; the lowest is {first[0]} and {first[1]} ({_svg.number(first[2], True)})."
    return text + (f" Closest: {last[0]} and {last[1]} ({_svg.number(last[2], True)})." if len(pairs) > 1 else "")


def _matrix(found: Conflict, id: str) -> str:
    step = max(1, math.ceil(len(found.epochs) / _STEPS))
    looks = list(range(0, len(found.epochs), step))
    mean = found.mean
    rows = []
    for i, task in enumerate(found.tasks):
        cells = [
            _cell(task, other, float(mean[i, j]), [float(found.cosine[e, i, j]) for e in looks], i == j)
            for j, other in enumerate(found.tasks)
        ]
        rows.append(f'<tr><th scope="row">{escape(task)}</th>{"".join(cells)}</tr>')
    heads = "".join(f'<th scope="col"><span>{escape(task)}</span></th>' for task in found.tasks)
    epochs = " ".join(str(found.epochs[e]) for e in looks)
    slider = (
        f'<label class="slide" for="{id}-at">Epoch <input type="range" id="{id}-at" min="0" max="{len(looks)}" value="0" data-epochs="{epochs}" '
        f'data-of="{id}"> <output for="{id}-at">mean of all</output></label>'
        if len(looks) > 1
        else ""
    )
    return (
        f'<figure class="tree"><figcaption>Cosine, mean over {len(found.epochs)} epochs{"; the slider shows one" if slider else ""}</figcaption>{slider}<div class="scroll" role="region" tabindex="0" aria-label="Cosines of the gradients"><table class="matrix" id="{id}">'
        f"<thead><tr><td></td>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></figure>"
    )


def _cell(task: str, other: str, mean: float, looks: Sequence[float], same: bool) -> str:
    if same:
        return '<td class="same" aria-label="itself">·</td>'
    values = " ".join("" if math.isnan(value) else f"{value:.2f}" for value in looks).replace("0.", ".")
    kind = "together" if mean >= 0 else "apart"
    tip = f"{task} and {other}"
    return f'<td class="{kind}" style="--t:{_depth(mean)}" data-looks="{values}" data-mean="{mean:.2f}" data-pair="{escape(tip)}">{_two(mean)}</td>'


def _depth(value: float) -> str:
    """How deep a cell's colour is: the square root, so that small cosines are seen."""
    return f"{math.sqrt(min(1.0, abs(value))):.2f}" if math.isfinite(value) else "0"


def _two(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:+.2f}".replace("-", "−")


def _tree(found: Conflict) -> str:
    """The clustering, drawn from the tasks at the left to where they all join; places across are percents."""
    count = len(found.tasks)
    if not found.tree:
        return ""
    lowest = min(0.0, min(merge[2] for merge in found.tree))
    scale = _svg.Scale(1.0, lowest - 0.05 * (1 - lowest))
    row, parts = 26, []
    places = {leaf: (0.0, row * leaf + row / 2) for leaf in range(count)}
    for number, (a, b, cosine) in enumerate(found.tree):
        x = scale.at(cosine)
        for x0, y in (places[a], places[b]):
            parts.append(f'<line class="branch" x1="{x0:.2f}%" x2="{x:.2f}%" y1="{y:.1f}" y2="{y:.1f}"/>')
        (_, y1), (_, y2) = places[a], places[b]
        parts.append(f'<line class="branch" x1="{x:.2f}%" x2="{x:.2f}%" y1="{y1:.1f}" y2="{y2:.1f}"/>')
        places[count + number] = (x, (y1 + y2) / 2)
    floor = row * count + 2
    ticks = "".join(_svg.tick(scale.at(tick), _svg.number(tick), floor) for tick in _svg.Scale(scale.high, 1.0).ticks(4))
    names = "".join(f"<li>{escape(task)}</li>" for task in found.tasks)
    merges = "; ".join(_joined(found, number) for number in range(len(found.tree)))
    return (
        '<figure class="tree"><figcaption>Task affinity: groups join at their mean cosine</figcaption><div class="tree-body">'
        f'<ul style="--row:{row}px">{names}</ul><svg class="strip" height="{floor + 22}" role="img" aria-label="{escape(merges)}">{"".join(parts)}{ticks}</svg>'
        "</div></figure>"
    )


def _joined(found: Conflict, number: int) -> str:
    first, second, cosine = found.tree[number]
    return f"{_members(found, first)} join {_members(found, second)} at {_two(cosine)}"


def _members(found: Conflict, number: int) -> str:
    count = len(found.tasks)
    if number < count:
        return found.tasks[number]
    first, second, _ = found.tree[number - count]
    return f"{_members(found, first)}, {_members(found, second)}"


def _over_time(found: Conflict) -> str:
    if len(found.epochs) < 2:
        return ""
    pairs = found.pairs()
    chosen = pairs if len(pairs) <= _DRAWN else [*pairs[: _DRAWN // 2], *pairs[-_DRAWN // 2 :]]
    names = [f"{a} · {b}" for a, b, *_ in chosen]
    place = {task: number for number, task in enumerate(found.tasks)}
    cosines = {
        name: [_dense(found, [float(found.cosine[e, place[a], place[b]]) for e in range(len(found.epochs))])]
        for name, (a, b, *_) in zip(names, chosen, strict=True)
    }
    norms = {task: [_dense(found, found.norm[:, number].tolist())] for task, number in place.items()}
    left = _svg.curves("Cosine of each pair" + (" (the ends of the list)" if len(chosen) < len(pairs) else ""), cosines, names)
    right = _svg.curves("Norm of each task's gradient", norms, found.tasks)
    return (
        f'<div class="curves"><div>{left}{_svg.legend(names, names)}</div>'
        f"<div>{right}{_svg.legend(found.tasks, found.tasks) if right else ''}</div></div>"
    )


def _dense(found: Conflict, values: Sequence[float]) -> list[float]:
    """A value an epoch, undefined where none was measured."""
    whole = [math.nan] * found.epochs[-1]
    for epoch, value in zip(found.epochs, values, strict=True):
        whole[epoch - 1] = value
    return whole
