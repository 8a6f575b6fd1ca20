"""What the charts of a page look like, said with Altair; the page's script fills in the numbers.

A chart is a Vega-Lite specification without data. The data sets are named, and so are the parameters that the script
sets: where the axes begin and end, their ticks and titles. Colours are the page's CSS variables, so that one chart is
right on a light and on a dark ground.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, cast

from ttc.errors import MissingExtra
from ttc.evals.figures.canvas import PALETTE
from ttc.evals.report.series import Series

__all__ = ["MARK_SIZES", "chart_specs", "kind_colours", "vega_bundle"]

MARK_SIZES = {"o": 75, "s": 70, "^": 105, "v": 105, "D": 80, "P": 105, "*": 330}
"""Of marks, in square pixels as Vega counts them, such that they look equally large."""

_SHAPES = {
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "v": "triangle-down",
    "D": "diamond",
    "P": "cross",
    "*": "M0,-1L.23,-.31L.95,-.31L.36,.12L.59,.81L0,.38L-.59,.81L-.36,.12L-.95,-.31L-.23,-.31Z",
}
_FONT = "system-ui, -apple-system, Segoe UI, Roboto, Noto Sans, Liberation Sans, DejaVu Sans, sans-serif"
_KINDS = {"generate": 5, "revise": 2, "judge": 4, "reward": 3, "probe": 0}
"""Colours of the kinds of calls: places in the palette, as in the figure."""

_X_LABEL = (
    "datum.value >= 1000 ? format(datum.value, '~s') : datum.value >= 1e-7"
    " ? format(datum.value, '.8~f') : format(datum.value, '~g')"
)


def _vega_lite() -> str:
    """Return the version of Vega-Lite that Altair writes, as vl-convert names it: ``6.1``."""
    return ".".join(_altair().SCHEMA_VERSION.removeprefix("v").split(".")[:2])


@cache
def vega_bundle() -> str:
    """Return the JavaScript that draws Vega-Lite specifications: Vega, Vega-Lite and vega-embed, about 900 kB.

    Raises:
        MissingExtra: vl-convert-python is not installed.
    """
    try:
        import vl_convert
    except ImportError:
        raise MissingExtra("vl-convert-python", "report", "writing a page with charts") from None
    # Its types say that a snippet has to be given; without one it is the three libraries and nothing else.
    script = cast(str, cast(Any, vl_convert).javascript_bundle(vl_version=_vega_lite()))
    # Nothing in it may end the element that it stands in. In JavaScript's strings and patterns both mean the same.
    script = script.replace("</script", "<\\/script").replace("<!--", "<\\!--")
    return f"(function () {{{script}\n}}).call(window);"


def chart_specs(series: Sequence[Series], kinds: Sequence[str]) -> dict[str, Any]:
    """Return the specifications of the charts by name: ``curves``, ``shares`` and ``costs``.

    Args:
        series: the lines, in the order in which they are numbered.
        kinds: of calls.

    Raises:
        MissingExtra: Altair is not installed.
    """
    return {"curves": _curves(series), "shares": _shares(series), "costs": _costs(kinds)}


def kind_colours(kinds: Sequence[str]) -> list[dict[str, str]]:
    """Give each kind of call the page's name of a colour."""
    spare = [i for i in range(len(PALETTE)) if i not in _KINDS.values()]
    return [{"name": k, "colour": f"s{_KINDS.get(k, spare[i % len(spare)])}"} for i, k in enumerate(kinds)]


def _altair() -> Any:
    try:
        import altair
    except ImportError:
        raise MissingExtra("altair", "report", "writing a page with charts") from None
    return altair


def _curves(series: Sequence[Series]) -> dict[str, Any]:
    """Accuracy against a cost: bands and lines of prefixes, bars and threads of budgets, the baseline, the frontier."""
    alt = _altair()
    x, y = _x(), _y("accuracy")
    colour, shape = _colour(series), _shape(series)
    points = alt.Chart(alt.NamedData("points"))
    prefix = points.transform_filter("datum.how === 'prefix'")
    explicit = points.transform_filter("datum.how === 'explicit'")
    line = {"x": x, "y": y, "color": colour, "detail": "run:N", "order": "x:Q"}
    layers = [
        prefix.mark_area(opacity=0.14, orient="vertical").encode(  # with an order every x would be an area of its own
            x=x, y=_y("accuracy", "low"), y2="high:Q", color=colour, detail="run:N"
        ),
        alt.Chart(alt.NamedData("baseline"))
        .mark_rule(strokeDash=[1, 3], strokeWidth=1.2, color="var(--ink)")
        .encode(y=y),
        alt.Chart(alt.NamedData("frontier"))
        .mark_line(interpolate="step-after", strokeWidth=1.2, color="var(--faint)", opacity=0.8)
        .encode(x=x, y=y, order="x:Q"),
        explicit.mark_line(strokeDash=[4, 3], strokeWidth=1).encode(**line | {"detail": "s:N"}),
        explicit.mark_rule(strokeWidth=1.5).encode(x=x, y=_y("accuracy", "low"), y2="high:Q", color=colour),
        prefix.mark_line(strokeWidth=2.2).encode(**line),
        _marks(points, x, y, colour, shape),
        alt.Chart(alt.NamedData("labels"))
        .mark_text(align="left", fontWeight=600, fontSize=12, x=alt.expr("width + 10"), limit=250)
        .encode(y=y, text="text:N", color=colour),
        _title(),
    ]
    return _drawn(alt.layer(*layers))


def _shares(series: Sequence[Series]) -> dict[str, Any]:
    """Draw a share of samples against a cost."""
    alt = _altair()
    x, y, colour = _x(), _y(""), _colour(series)
    points = alt.Chart(alt.NamedData("points"))
    lines = points.mark_line(strokeWidth=1.6).encode(x=x, y=y, color=colour, detail="run_or_series:N", order="x:Q")
    return _drawn(alt.layer(lines, _marks(points, x, y, colour, _shape(series)), _title()))


def _costs(kinds: Sequence[str]) -> dict[str, Any]:
    """Bars of generated tokens a query, stacked by the kind of call."""
    alt = _altair()
    colours = [f"var(--{kind['colour']})" for kind in kind_colours(kinds)]
    row_axis = alt.Axis(ticks=False, domain=False, labelLimit=alt.expr("row_limit"))
    rows = alt.Y("row:N", sort=None, title=None, axis=row_axis)
    scale = alt.Scale(domain=[0, alt.expr("x_high")], nice=False)
    axis = alt.Axis(tickCount=alt.expr("tick_count"), format="~s")
    bars = (
        alt.Chart(alt.NamedData("kinds"))
        .mark_bar(cornerRadius=1)
        .encode(
            y=rows,
            x=alt.X("tokens:Q", title="generated tokens per query", stack="zero", scale=scale, axis=axis),
            color=alt.Color("kind:N", scale=alt.Scale(domain=list(kinds), range=colours), legend=None),
            order="place:Q",
        )
    )  # fmt: skip
    ends = (
        alt.Chart(alt.NamedData("rows"))
        .mark_text(align="left", dx=6, fontSize=12, color="var(--ink)")
        .encode(y=rows, x="tokens:Q", text="text:N")
    )
    given = {"x_high": 1.0, "row_limit": 190, "tick_count": 5}
    chart = alt.layer(bars, ends).add_params(*(alt.param(name=name, value=value) for name, value in given.items()))
    return _drawn(chart, params=False)


# -- what charts share -------------------------------------------------------------------------------------------------


def _x() -> Any:
    alt = _altair()
    scale = alt.Scale(
        type="log", nice=False, domain=[alt.expr("x_low"), alt.expr("x_high")], clamp=True
    )  # a point at the rim stays in the panel
    axis = alt.Axis(values=alt.expr("x_ticks"), labelExpr=_X_LABEL, title=None, labelFlush=False)
    return alt.X("x:Q", scale=scale, axis=axis)


def _y(title: str, field: str = "y") -> Any:
    alt = _altair()
    scale = alt.Scale(nice=False, zero=False, domain=[alt.expr("y_low"), alt.expr("y_high")])
    return alt.Y(f"{field}:Q", scale=scale, axis=alt.Axis(format="~%", tickCount=6, title=title or None))


def _colour(series: Sequence[Series]) -> Any:
    alt = _altair()
    colours = ["var(--ink)" if s.colour == "ink" else f"var(--{s.colour})" for s in series]
    return alt.Color("s:N", scale=alt.Scale(domain=list(range(len(series))), range=colours), legend=None)


def _shape(series: Sequence[Series]) -> Any:
    alt = _altair()
    shapes = [_SHAPES[s.marker] for s in series]
    return alt.Shape("s:N", scale=alt.Scale(domain=list(range(len(series))), range=shapes), legend=None)


def _marks(points: Any, x: Any, y: Any, colour: Any, shape: Any) -> Any:
    """Draw the marks, and around each an invisible disc that a finger can meet."""
    alt = _altair()
    marks = points.mark_point(filled=True, stroke="var(--paper)", strokeWidth=1, opacity=1)
    size = alt.Size("size:Q", scale=None, legend=None)
    near = points.mark_point(filled=True, size=500, opacity=0, tooltip={"content": "data"})
    return alt.layer(marks.encode(x=x, y=y, color=colour, shape=shape, size=size), near.encode(x=x, y=y, color=colour))


def _title() -> Any:
    """Write the title of the x axis, which changes with it."""
    alt = _altair()
    mark: dict[str, Any] = {
        "text": alt.expr("x_title"),
        "x": alt.expr("width / 2"),
        "y": alt.expr("height + 34"),
        "limit": alt.expr("width + 60"),
        "fontSize": 12,
        "color": "var(--faint)",
    }
    return alt.Chart(alt.NamedData("once")).mark_text(**mark)


def _drawn(chart: Any, *, params: bool = True) -> dict[str, Any]:
    """Give a chart its frame and its fonts, and return it as a specification."""
    alt = _altair()
    if params:
        given = {"x_low": 1.0, "x_high": 10.0, "x_ticks": [1.0], "x_title": "", "y_low": 0.0, "y_high": 1.0}
        chart = chart.add_params(*(alt.param(name=name, value=value) for name, value in given.items()))
    chart = (
        chart.properties(width="container", height=300, background="transparent")
        .configure(font=_FONT)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor="var(--faint)", titleColor="var(--faint)", titleFontWeight="normal", gridColor="var(--grid)",
            domainColor="var(--faint)", tickColor="var(--faint)", labelFontSize=12, titleFontSize=12, labelPadding=5,
        )
    )  # fmt: skip
    return chart.to_dict()
