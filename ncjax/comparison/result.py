"""The comparison of runs: what was found, as tables, figure and data."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from ncjax.collapse import Metric
from ncjax.comparison import tables
from ncjax.comparison.groups import Group, PairTest
from ncjax.io import plain
from ncjax.table import Part, Result, csv_text, markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ncjax.comparison.overlays import Overlay
    from ncjax.comparison.theory import GroupTheory


@dataclasses.dataclass(frozen=True)
class Comparison(Result):
    """Groups of runs side by side; prints as its tables.

    Attributes:
        groups: each has runs that differ in nothing but the seed.
        metrics: the metrics that are compared.
        results: the paired tests.
        warnings: what a reader of the numbers must know.
        level: confidence of the intervals.
        test: "t" or "wilcoxon".
        baseline: name of the group with which the others are compared; None for all
            pairs.
        chosen: whether the metrics were asked for by name.
        theory: the optimum nearest to each network, where it was asked for and the
            examples have one class each.
        overlays: what theory predicts of networks with other labels.
    """

    groups: tuple[Group, ...]
    metrics: tuple[Metric, ...]
    results: tuple[PairTest, ...]
    warnings: tuple[str, ...]
    level: float
    test: str
    baseline: str | None
    chosen: bool
    theory: tuple[GroupTheory, ...] = ()
    overlays: tuple[Overlay, ...] = ()

    def to_rows(self) -> list[dict[str, Any]]:
        """Mean and interval over seeds of each metric in each group."""
        return [
            {"group": group.name, "metric": metric.key}
            | group.summary(metric, self.level)._asdict()
            for group in self.groups
            for metric in self.metrics
        ]

    def table(self) -> str:
        """The final values, as Markdown."""
        return markdown(self._table())

    def tests(self, most: int | None = None) -> str:
        """The paired tests, as Markdown.

        Args:
            most: if there are more tests than this, only those with a corrected
                p-value below 1 - level are shown; None shows all.
        """
        return markdown(self._tests(most))

    def theory_table(self) -> str:
        """Theory beside the networks, as Markdown; "" without theory."""
        return markdown(self._theory())

    def report(self, most: int | None = None) -> str:
        """All tables under their headings, as Markdown; see `tests` for `most`."""
        return markdown(self._report(most))

    def parts(self) -> list[Part]:
        """The warnings and the whole report."""
        warnings = [f"**Warning:** {warning}" for warning in self.warnings]
        return ["# Comparison", *warnings, *self._report()]

    def _report(self, most: int | None = None) -> list[Part]:
        found = ["## Final values", *self._table()]
        found += ["## Paired tests", *self._tests(most)]
        if self.theory or self.overlays:
            found += ["## Theory beside the networks", *self._theory()]
        return found

    def _table(self) -> list[Part]:
        return tables.final_values(self.groups, self.metrics, self.level)

    def _tests(self, most: int | None) -> list[Part]:
        asked = self.level, self.test, self.baseline
        return tables.paired_tests(self.results, *asked, most)

    def _theory(self) -> list[Part]:
        found: list[Part] = []
        if self.theory:
            from ncjax.comparison import theory_tables  # late: it loads what trains

            found += theory_tables.tables(self.theory, self.level)
        if self.overlays:
            from ncjax.comparison.overlays import show

            found.append(show.table(self.overlays))
        return found

    def latex(self) -> str:
        """The final values as tables of LaTeX: intervals, the best and its ties bold.

        They need the package booktabs.
        """
        from ncjax.comparison.latex import latex

        return latex(self.groups, self.metrics, self.level, self.test)

    def tests_csv(self) -> str:
        """The paired tests as CSV, a line for each."""
        return csv_text(
            row | {"seeds": " ".join(map(str, row["seeds"]))}
            for row in map(_test, self.results)
        )

    def plot(self, columns: int | None = None) -> Figure:
        """Curves over epochs: mean and interval over seeds, a panel for each metric.

        Args:
            columns: 1 or 2 for so many columns of a page; None for a screen.
        """
        from ncjax.comparison.figure import figure  # late: matplotlib takes a second

        metrics = self.metrics
        if not self.chosen:
            metrics = tuple(m for m in metrics if m.curve) or metrics
        return figure(self.groups, metrics, self.level, columns)

    def multiples(self, columns: int | None = None) -> Figure:
        """Small multiples: a panel for each group, its curve before all others.

        Of the test error and NC0 to NC3, unless metrics were chosen.

        Args:
            columns: 1 or 2 for so many columns of a page; None for a screen.
        """
        from ncjax.comparison.multiples import figure

        metrics = self.metrics
        if not self.chosen:
            main = (m for m in metrics if m.curve and (m.headline or m.percent))
            metrics = tuple(main) or metrics
        return figure(self.groups, metrics, self.level, columns)

    @property
    def has_severity(self) -> bool:
        """Whether there is something to see in `pareto`: two groups with a tree."""
        from ncjax.comparison.pareto import has_severity

        return has_severity(self.groups)

    def pareto(self, columns: int | None = None) -> Figure:
        """Test error against the severity of mistakes, a point for each group.

        Args:
            columns: 1 or 2 for so many columns of a page; None for a screen.

        Raises:
            ValueError: if fewer than two groups know the severity of their mistakes.
        """
        from ncjax.comparison.pareto import figure

        return figure(self.groups, self.level, columns)

    figure = plot  # its older name

    def theory_figure(self, columns: int | None = None) -> Figure:
        """Gram matrices found and predicted.

        Args:
            columns: 1 or 2 for so many columns of a page; None for a screen.

        Raises:
            ValueError: without theory.
        """
        if not self.theory:
            raise ValueError("There is no theory here: `compare(..., theory=True)`.")
        from ncjax.comparison import theory_figure

        return theory_figure.figure(self.theory, columns)

    def overlay_figure(self, columns: int | None = None) -> Figure:
        """What was found and what is predicted, where examples are no classes.

        Args:
            columns: 1 or 2 for so many columns of a page; None for a screen.

        Raises:
            ValueError: without such a theory.
        """
        if not self.overlays:
            raise ValueError(
                "There is no theory of labels other than classes here; with classes "
                "see `theory_figure`."
            )
        from ncjax.comparison.overlays import show

        return show.figure(self.overlays, columns)

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON; numbers that are not finite are None."""
        found: dict[str, Any] = {
            "level": self.level,
            "test": self.test,
            "baseline": self.baseline,
            "warnings": self.warnings,
            "metrics": {
                metric.key: {
                    "title": metric.title,
                    "smaller_is_better": metric.smaller_is_better,
                    "scale": "log" if metric.log else "linear",
                }
                for metric in self.metrics
            },
            "groups": [self._group(group) for group in self.groups],
            "tests": [_test(test) for test in self.results],
        }
        if self.theory:
            from ncjax.comparison import theory_tables

            found["theory"] = theory_tables.to_dict(self.theory)
        if self.overlays:
            from ncjax.comparison.overlays import show

            found["overlays"] = show.to_dict(self.overlays)
        return plain(found)

    def _group(self, group: Group) -> dict[str, Any]:
        """A group's runs, and each metric over its seeds."""
        values = {}
        for metric in self.metrics:
            each = zip(map(str, group.seeds), group.final(metric.key), strict=True)
            found = group.summary(metric, self.level)._asdict()
            values[metric.key] = found | {"values": dict(each)}
        return {
            "name": group.name,
            "runs": [
                {"path": str(run.path), "seed": run.seed, "epoch": run.last}
                for run in group.runs
            ],
            "metrics": values,
        }

    def __str__(self) -> str:
        """The warnings and the whole report, as Markdown."""
        return markdown(self.parts())

    def __repr__(self) -> str:
        """How many groups, runs and metrics there are."""
        runs = sum(len(group.runs) for group in self.groups)
        named = ", ".join(repr(group.name) for group in self.groups)
        return f"<Comparison of {runs} runs, {len(self.metrics)} metrics: {named}>"


def _test(test: PairTest) -> dict[str, Any]:
    numbers = dataclasses.asdict(test.result)
    return {
        "metric": test.metric.key,
        "first": test.first,
        "second": test.second,
        "seeds": test.seeds,
        "ratio" if test.metric.log else "difference": numbers.pop("difference"),
        **numbers,
        "p_corrected": test.corrected,
    }
