"""The final values of a comparison as tables of LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ncjax.collapse import Metric
from ncjax.comparison.best import best
from ncjax.comparison.groups import Group
from ncjax.comparison.tables import cell

_ESCAPED = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}"}
_ESCAPED |= {"^": r"\textasciicircum{}", "↓": r"$\downarrow$", "↑": r"$\uparrow$"}
_ESCAPED |= {x: f"\\{x}" for x in "#$%&_{}"}
_SIGNS = {"±": r"\pm", "×/÷": r"\times\!/\!\div"}


def latex(
    groups: Sequence[Group], metrics: Sequence[Metric], level: float, test: str
) -> str:
    """A table for each part: a row for each group, mean and interval over its seeds.

    The best group of a column, and those that tie with it (`best`), are bold.  The
    tables need the package booktabs.

    Args:
        groups: the groups.
        metrics: the metrics, of one part or several.
        level: confidence of the intervals; 1 - level is the bound for ties.
        test: "t" or "wilcoxon".
    """
    tables = []
    for part in dict.fromkeys(metric.part for metric in metrics):
        columns = [metric for metric in metrics if metric.part == part]
        caption = _caption(part, groups, columns, level, test)
        tables.append(_table(part, groups, columns, caption, level, test))
    return "\n\n".join([r"% \usepackage{booktabs}", *tables, ""])


def _table(
    part: str,
    groups: Sequence[Group],
    metrics: Sequence[Metric],
    caption: str,
    level: float,
    test: str,
) -> str:
    rows = [["", *(escape(metric.heading) for metric in metrics)]]
    winners = [best(groups, metric, level, test) for metric in metrics]
    for place, group in enumerate(groups):
        row = [escape(group.name)]
        for metric, bold in zip(metrics, winners, strict=True):
            text = cell(metric, group.summary(metric, level), len(group.runs))
            row.append(_formula(text, bold=place in bold))
        rows.append(row)
    head, *body = (f"    {' & '.join(row)} \\\\" for row in rows)
    name = re.sub(r"\W+", "-", part.lower()).strip("-")
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            f"  \\caption{{{caption}}}",
            f"  \\label{{tab:{name}}}",
            f"  \\begin{{tabular}}{{l{'r' * len(metrics)}}}",
            *(r"    \toprule", head, r"    \midrule", *body, r"    \bottomrule"),
            r"  \end{tabular}",
            r"\end{table}",
        ]
    )


def _caption(
    part: str,
    groups: Sequence[Group],
    metrics: Sequence[Metric],
    level: float,
    test: str,
) -> str:
    """What the rows are, and what the numbers and bold ones mean."""
    seeds = sorted({len(group.runs) for group in groups})
    number = "-".join(str(n) for n in dict.fromkeys((seeds[0], seeds[-1])))
    said = [f"{part}, at the last measured epoch."]
    if seeds[-1] > 1:
        interval = f"{100 * level:.4g} % t-interval"
        how = [
            f"mean ± half of the {interval} over {number} seeds"
            if not all(metric.log for metric in metrics)
            else "",
            f"geometric mean ×/÷ the factor of the {interval} of the logarithm"
            if any(metric.log for metric in metrics)
            else "",
        ]
        text = "; ".join(filter(None, how))
        said.append(f"{text[0].upper()}{text[1:]}.")
    if any(metric.smaller_is_better is not None for metric in metrics):
        kind = {"t": "t-test", "wilcoxon": "signed-rank test"}[test]
        said.append(
            "Bold: the best"
            + (
                f", and what a paired {kind} by seed, corrected by Holm's method for "
                f"each column, does not tell from it (p ≥ {1 - level:.3g})."
                if seeds[-1] > 1
                else "; one seed each, so no test."
            )
        )
    return _math(escape(" ".join(said)), {"≥": r"\ge"} | _SIGNS)


def escape(text: str) -> str:
    """Text of which LaTeX prints each character as it is."""
    return "".join(_ESCAPED.get(x, x) for x in text)


def _math(text: str, signs: dict[str, str]) -> str:
    """Text with the signs as formulas."""
    for sign, made in signs.items():
        text = text.replace(sign, f"${made}$")
    return text


def _formula(text: str, *, bold: bool) -> str:
    """A cell of `ncjax.comparison.tables.cell`, its numbers as one formula."""
    number, few, rest = text.partition(" (")
    if not re.match(r"-?[\d.]", number):  # a word
        return escape(text)
    number = re.sub(r"e([+-]\d+)", lambda x: rf" \times 10^{{{int(x[1])}}}", number)
    for sign, made in _SIGNS.items():
        number = number.replace(sign, made)
    formula = f"${number}$"
    return (rf"{{\boldmath{formula}}}" if bold else formula) + few + rest
