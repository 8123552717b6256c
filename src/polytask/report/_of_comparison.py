"""What the report tells of a comparison: which model to ship, how sure that is, what it costs, and why."""

from html import escape

from polytask.engine.comparison import Row

from . import _calibration, _conflict, _curves, _data_card, _leaderboard, _of_run, _parts, _svg
from ._parts import Part, part
from ._source import Compared

_GAINS = (
    "Each system and its reference see the same splits. An interval wholly in the shaded half is better on that task than a network of "
    "its own; one across the dotted line says that these splits cannot tell."
)


def title(compared: Compared) -> str:
    """What stands at the top of the page."""
    best = compared.found.rows[0]
    return "Keep one model a task" if best.system == compared.found.reference else f"Ship {best.name}"


def lead(compared: Compared) -> str:
    """The verdict, and what the winner gains and costs."""
    found = compared.found
    seeds = len({result.seed for result in found.results})
    verdict = "".join(f"<li>{escape(sentence)}</li>" for sentence in found.verdict())
    return (
        f"<p><b>{len(found.rows)} ways</b> to predict {escape(', '.join(found.primary))} from {_of_run.data(compared.best)}, on {seeds} "
        f"split{'s' * (seeds != 1)} of the same rows, under one budget. Chosen on validation rows; test rows only tell.</p>"
        f'<ul class="verdict">{verdict}</ul>{_tiles(compared)}'
    )


def parts(compared: Compared, importance: bool) -> list[Part]:
    """The sections of the page."""
    found, best = compared.found, compared.best
    order = [row.name for row in found.rows]
    runs = {name: cells for name, cells in compared.cells.items() if cells}
    networks = {name: cells for name, cells in runs.items() if any(cell.gradients is not None for cell in cells)}
    gains = f"What each task gains over {found.reference}"
    apart = "Which tasks pull together, which apart"
    return [
        part("leaderboard", "Leaderboard", "Leaderboard", lambda: _leaderboard.filters(found) + _leaderboard.board(found)),
        part("gains", "Gains", gains, lambda: _leaderboard.forest(found), _GAINS),
        part("cost", "Cost", "Quality against cost", lambda: _leaderboard.cost(found, order)),
        part("learning", "Learning", "How training went", lambda: _curves.of_all(runs, order)),
        part("conflict", "Conflict", apart, lambda: _conflict.of_all(networks or runs), _conflict.LEAD),
        part("calibration", "Calibration", "Whose predicted chances can be trusted", lambda: _calibration.of_all(runs)),
        *_of_run.of_model(best, f"The model to ship, {order[0]}: ", importance),
        part("made", "Settings", "How it was made", lambda: _made(compared)),
    ]


def _tiles(compared: Compared) -> str:
    found = compared.found
    best = found.rows[0]
    reference = next(row for row in found.rows if row.system == found.reference)
    mean, size = (
        _parts.score(best.gain.mean, True, 2),
        f"{best.cost['bytes'] / reference.cost['bytes']:.0%} of {found.reference}",
    )
    tiles = [("Gain on the test rows", f"{mean} %", f"mean over tasks, over {found.reference}; {_limits(best)}")]
    tiles.append(("Gain on validation", f"{_parts.score(best.validation_gain, True, 2)} %", "what the choice was made by"))
    tiles.append(("Size", f"{_parts.count(best.cost['bytes'])}B", size))
    seconds = f"{_svg.number(best.cost['seconds'])} s"
    tiles.append(("Training", seconds, f"{found.reference}: {_svg.number(reference.cost['seconds'])} s"))
    if "rows_a_second" in best.cost:
        tiles.append(("Answers", _parts.count(best.cost["rows_a_second"]), "rows a second"))
    return _parts.tiles(tiles)


def _limits(row: Row) -> str:
    one = row.gain
    limits = f"95 %: {_parts.score(one.low, True, 2)} to {_parts.score(one.high, True, 2)}"
    return limits if one.low == one.low else "one split, no interval"


def _made(compared: Compared) -> str:
    told, fallback = _data_card.command_of_all(compared)
    settings = _data_card.settings({name: cells[0] for name, cells in compared.cells.items() if cells})
    return f"<h3>Settings</h3>{settings}<h3>Make it again</h3>{_data_card.again(told, fallback)}"
