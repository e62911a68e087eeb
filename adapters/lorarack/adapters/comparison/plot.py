"""Quality against cost, as a picture. matplotlib is imported when a picture is asked for."""

from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import TYPE_CHECKING

from lorarack.adapters.comparison.verdict import Comparison, VersionScore
from lorarack.registry.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CHOSEN, _OTHERS = "#1a7f37", "#57606a"


def pareto_front(comparison: Comparison, costs: Mapping[str, float]) -> tuple[VersionScore, ...]:
    """The versions that no other one beats in both cost and score, cheapest first."""
    sign = -1 if comparison.verdict.losses else 1
    front: list[VersionScore] = []
    for version in sorted(comparison.verdict.versions, key=lambda version: costs[version.reference]):
        if not front or sign * version.score > sign * front[-1].score:
            if front and costs[front[-1].reference] == costs[version.reference]:
                front.pop()
            front.append(version)
    return tuple(front)


def as_png(comparison: Comparison) -> bytes:
    """Each version's score with its 95 % interval, over its cost; a line joins those that none beats in both.

    Raises:
        UsageError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError(
            "A plot needs the package 'matplotlib'; install it with: pip install 'lorarack[compare]'.",
            code="not_installed",
        ) from error
    panels = list(_panels(comparison))
    figure = Figure(figsize=(1 + 6 * len(panels), 4.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)  # draws without a display, and leaves pyplot alone
    for place, (label, costs) in enumerate(panels, start=1):
        _draw(figure.add_subplot(1, len(panels), place), comparison, label, costs)
    written = BytesIO()
    figure.savefig(written, format="png", metadata={"Software": None})
    return written.getvalue()


def _panels(comparison: Comparison) -> Iterator[tuple[str, dict[str, float] | None]]:
    """What the score is drawn over: the cost, None where it is not known, and the time between tokens where it was measured."""
    versions = comparison.verdict.versions
    costs = {version.reference: version.cost for version in versions if version.cost is not None}
    parameters = all(version.cost == version.parameters for version in versions)
    yield "parameters" if parameters else "cost", costs if len(costs) == len(versions) else None
    times = {one.reference: 1000 * one.speed.itl.median for one in versions if one.speed and one.speed.itl}
    if len(times) == len(versions):
        yield "ms from token to token, median", times


def _draw(axes: "Axes", comparison: Comparison, label: str, costs: Mapping[str, float] | None) -> None:
    verdict = comparison.verdict
    places = costs or {version.reference: float(place) for place, version in enumerate(verdict.versions)}
    scale = 1 if verdict.losses else 100
    for version in verdict.versions:
        color = _CHOSEN if version.reference == verdict.recommended else _OTHERS
        place, score = places[version.reference], scale * version.score
        below, above = scale * (version.score - version.low), scale * (version.high - version.score)
        axes.errorbar([place], [score], [[max(below, 0)], [max(above, 0)]], fmt="o", capsize=4, color=color)
        axes.annotate(_plain(version.reference), (place, score), (7, 7), textcoords="offset points", color=color)
    if costs:
        front = pareto_front(comparison, places)
        axes.plot([places[one.reference] for one in front], [scale * one.score for one in front], ":", color=_OTHERS)
        axes.set_xlabel(label)
        if min(places.values()) > 0 and max(places.values()) > 8 * min(places.values()):
            axes.set_xscale("log")
        axes.set_xticks(sorted(set(places.values())), [f"{place:,.4g}" for place in sorted(set(places.values()))])
        axes.minorticks_off()
    else:
        axes.set_xticks(list(places.values()), [_plain(name) for name in places])
    axes.set_ylabel(_plain(comparison.score) + ("" if verdict.losses else ", %"))
    axes.set_title(_plain(f"{comparison.title}: {verdict.rows} rows, 95 % intervals"), fontsize="medium")
    axes.margins(0.2)
    axes.grid(alpha=0.2)


def _plain(text: str) -> str:
    """Without what matplotlib takes for mathematics, and not too long."""
    shown = text if len(text) <= 60 else f"{text[:59]}…"
    return "".join(sign if sign.isprintable() else "?" for sign in shown).replace("$", r"\$")
