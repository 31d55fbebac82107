"""The page of one run: of training, of one of its seeds, or of a recorder."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from ncjax.config.fields import SECTIONS
from ncjax.report import charts, geometry
from ncjax.report.mistakes import mistakes
from ncjax.report.page import (
    Page,
    command,
    details,
    escape,
    grid,
    links,
    listed,
    slider,
    table,
)
from ncjax.report.read import Found, made_by, modified, read, shown
from ncjax.report.verdict import verdict
from ncjax.report.verdicts.verdict import Verdict
from ncjax.runs.journal import NAME as METRICS
from ncjax.table import Table

_MARKS = {
    "collapsed": "good",
    "partly collapsed": "some",
    "not collapsed": "bad",
    "diverged": "bad",
    "no verdict": "",
}
_FILES = (
    *("config.json", "metrics.jsonl", "classes.json", "collapse.png", "layers.png"),
    *(
        "outliers.png",
        "confusion.png",
        "collapse.gif",
        "collapse.mp4",
        "checkpoints",
        "seeds",
    ),
)
_SHADED = "Shaded: the terminal phase, from the first training error 0 on."


def write_run(folder: Path, path: Path) -> Page:
    """The page of the run in a folder, which is to be written to a path."""
    found = read(folder)
    page = Page(found.title)
    page.lead(
        f'<p class="about">{escape(_about(found))}</p>',
        say(verdict(found.history)),
        listed(found.missing, "What is missing"),
    )
    if found.history.rows:
        page.section("Curves", *_curves(page, found))
        page.section("Class means", *_means(page, found))
        page.section("Layers", *_layers(page, found))
        page.section("Outliers", *_outliers(page, found))
        page.section("Mistakes", *mistakes(page, found))
        page.section("Numbers", *_numbers(found))
    page.section("What was run", *_made(found))
    page.section("Files", links(folder, path, _files(folder)))
    return page


def say(said: Verdict) -> str:
    """The box of the verdict."""
    rest = said.sentence.removeprefix(said.state)
    return (
        f'<p class="verdict {_MARKS[said.state]}"><b>{escape(said.state)}</b>'
        f"{escape(rest)}</p>"
    )


def _about(found: Found) -> str:
    """Which run it is, in one line."""
    kind = "recorded" if found.recorded else "trained"
    what = f"{kind} run{': ' if found.history.about else ''}{found.history.about}"
    seeds = len(found.history.seeds)
    parts = [what, f"mean of {seeds} seeds with 95 % intervals" if seeds else ""]
    of = f" of {found.planned}" if found.planned is not None else ""
    parts.append(f"epoch {found.epoch}{of}")
    count = len(found.history.rows)
    parts.append(f"{count} epoch{'' if count == 1 else 's'} measured")
    return ", ".join(part for part in parts if part)


def axis_buttons(*, seeds: bool = False) -> str:
    """Buttons that make the axes of all curves logarithmic or linear.

    Args:
        seeds: whether there is one, too, that shows the curve of each seed.
    """
    buttons = "".join(
        f'<button type="button" data-axis="{axis}" aria-pressed="true">{name}</button>'
        for axis, name in (("xaxis", "log epochs"), ("yaxis", "log values"))
    )
    if seeds:
        buttons += (
            f'<button type="button" data-show="{charts.SEED}" aria-pressed="false">'
            "each seed</button>"
        )
    return f'<div class="tools">{buttons}</div>'


def _curves(page: Page, found: Found) -> list[str]:
    history = found.history
    drawn = [
        page.chart(f"curve-{place}", chart, metric.panel, "curve")
        for place, (metric, chart) in enumerate(charts.curve_panels(history))
    ]
    notes = [_SHADED] if history.terminal_epoch is not None else []
    notes.append("Drag to zoom, double-click to go back.")
    notes.append("Hollow points on the lower edge: 0.")
    if history.limit:
        notes.append("Dashed: theory, in the limit of vanishing regularisation.")
    note = f'<p class="soft">{escape(" ".join(notes))}</p>'
    seeds = any(seed.rows for seed in history.seeds)
    return [axis_buttons(seeds=seeds), note, grid(drawn), _any_metric(page, found)]


def _any_metric(page: Page, found: Found) -> str:
    """A chart of the metric that a reader chooses."""
    known = charts.every_metric(found.history)
    if not known["metrics"]:
        return ""
    page.data("metrics", known)
    layout = charts.over_epochs(found.history, log=True) | {"showlegend": False}
    wanted = ("nc/cdnv", "test/ece", "nc/nc1")
    first = next((key for key in wanted if key in known["metrics"]), None)
    options = "".join(
        f'<option value="{escape(key)}"{" selected" if key == first else ""}>'
        f"{title} ({escape(key)})</option>"
        for key, (title, *_) in known["metrics"].items()
    )
    left = known["left_out"]
    also = f" {left} more are in {METRICS}." if left else ""
    figure = page.chart("metric", {"data": [], "layout": layout}, "", "curve")
    figure = figure.replace('id="metric" ', 'id="metric-chart" ')
    return (
        f'<h3 style="margin-top:1.4rem">Every metric</h3><div class="tools"><label>'
        f'<select id="metric" aria-label="metric">{options}</select></label>'
        f'<code id="metric-key"></code><span class="soft">{escape(also)}</span></div>'
        f"{figure}"
    )


def _means(page: Page, found: Found) -> list[str]:
    known = geometry.geometry(found.history.rows, found.classes)
    if known is None:
        if found.recorded or "eval.gram" in found.config:
            return [_gram_hint(found)]
        return []
    page.data("geometry", {k: known[k] for k in ("epochs", "cosines", "spectra")})
    control = slider("epoch", known["epochs"])
    tree = found.classes.tree is not None
    order = "in the order of the class tree" if tree else "in the order of the labels"
    note = f"Cosines of the centred class means, {order}."
    if known["predicted"] is None:
        note += " There is no prediction for this loss or for these classes."
    drawn = [
        page.chart(key, chart, title, "matrix", said)
        for key, chart, title, said in zip(
            ("cosines", "predicted"),
            geometry.cosine_charts(known),
            ("Measured", "Predicted"),
            (note, "By theory, in the limit of vanishing regularisation."),
            strict=False,
        )
    ]
    note = "At a simplex all eigenvalues are 1; there are as many as classes, less one."
    title = "Spectrum of the Gram matrix of the class means"
    spectrum = page.chart("spectrum", geometry.spectrum_chart(known), title, note=note)
    return [control, grid(drawn, "half"), grid([spectrum], "wide")]


def _gram_hint(found: Found) -> str:
    """Why there are no class means to be seen."""
    most, count = found.config.get("eval.gram", 32), len(found.classes.names)
    text = f"There are no Gram matrices of the class means ({geometry.GRAM}): "
    if found.recorded:
        text += f"a recorder keeps them for up to {most} classes."
    elif count > most:
        text += f"they are kept for up to {most} classes; see --config.eval.gram."
    else:
        text += "the run is of an older version, or config.eval.gram is too small."
    return f'<p class="soft">{escape(text)}</p>'


def _layers(page: Page, found: Found) -> list[str]:
    drawn = [
        page.chart(f"layer-{i}", chart, metric.panel or metric.title)
        for i, (metric, chart) in enumerate(charts.layer_panels(found.history))
    ]
    return [grid(drawn)]


def _outliers(page: Page, found: Found) -> list[str]:
    drawn = [
        page.chart(f"outliers-{place}", chart, f"AUROC, outliers: {name}", "tall")
        for place, (name, chart) in enumerate(charts.outlier_charts(found.history))
    ]
    if not drawn:
        return []
    note = "Chance that an outlier has the lower score; dashed, on the right axis: NC1."
    return [f'<p class="soft">{escape(note)}</p>', grid(drawn, "half")]


def _numbers(found: Found) -> list[str]:
    """The table that a run prints at its end."""
    return [
        f'<div class="scroll notes">{part.html()}</div>'
        if isinstance(part, Table)
        else f"<p>{escape(part)}</p>"
        for part in found.history.parts()
    ]


def _made(found: Found) -> list[str]:
    """Command, configuration, versions, hardware, time."""
    about, config = found.about, found.config
    own = against_recipe(about, config)
    parts = [command(about), table((), _facts(found)), own]
    changed = [
        (field, shown(value), shown(found.defaults.get(field, "-")))
        for field, value in sorted(config.items())
        if found.defaults and found.defaults.get(field) != value
    ]
    if changed:
        title = "Fields that are not at their defaults"
        rows = table(("field", "value", "default"), changed)
        parts.append(details(title, rows) if own else f"<h3>{title}</h3>{rows}")
    elif found.defaults:
        parts.append("<p>All other fields are at their defaults.</p>")
    if config:
        every = [(field, shown(value)) for field, value in sorted(config.items())]
        parts.append(details("The whole configuration", table((), every)))
    return parts


def against_recipe(about: dict[str, Any], config: dict[str, Any]) -> str:
    """The fields that differ from the config file of a run; "" if it has none.

    Args:
        about: what made the run, of `ncjax.runs.about`.
        config: its configuration, flat.
    """
    recipe = about.get("recipe")
    if not isinstance(recipe, dict) or not isinstance(recipe.get("changed"), dict):
        return ""
    file, changed = escape(recipe.get("file")), recipe["changed"]
    if not changed:
        return f"<p>All fields are as in the recipe <code>{file}</code>.</p>"
    rows = [
        (field, shown(config.get(field, "-")), shown(value))
        for field, value in sorted(changed.items())
    ]
    title = f"<h3>Fields that differ from the recipe <code>{file}</code></h3>"
    return title + table(("field", "value", "recipe"), rows)


def _facts(found: Found) -> list[tuple[str, str]]:
    """What chose the run, what it ran on, and when."""
    about, config = found.about, found.config
    facts = [
        (part, str(config[f"{part}.name"]))
        for part in SECTIONS
        if f"{part}.name" in config and not found.recorded
    ]
    facts += made_by(about)
    written = modified(found.folder / METRICS)
    later = about.get("continued")
    sessions = len(later) if isinstance(later, list) else 0
    if sessions:
        facts.append(("continued", f"{sessions} times"))
    if written is not None:
        spent = "" if sessions else _since(about.get("date"), written)
        facts.append(("last row", written.isoformat(" ", "seconds") + spent))
    return facts


def _since(began: Any, written: datetime.datetime) -> str:
    """How long a run of one session took; "" where the dates do not fit."""
    try:
        seconds = (written - datetime.datetime.fromisoformat(began)).total_seconds()
    except (TypeError, ValueError):
        return ""
    if not 0 <= seconds < 3e6:  # a copied file has another date
        return ""
    return f" ({datetime.timedelta(seconds=round(seconds))} later)"


def _files(folder: Path) -> list[str]:
    events = sorted(path.name for path in folder.glob("events.out.tfevents*"))
    return [*_FILES, *events]
