"""The explorer: its numbers are those of Python, and the page works in a browser."""

import json
import math
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import ncjax.explorer
from ncjax.cli.report import main
from ncjax.explorer import write_explorer
from ncjax.explorer.page import explorer
from ncjax.hierarchy import balanced
from ncjax.hierarchy.hxe import hxe_optimum
from ncjax.hierarchy.soft_labels import soft_label_optimum
from ncjax.optimizers import SCHEDULES
from ncjax.report import packed
from ncjax.ufm.theory.cross_entropy import cross_entropy_optimum
from ncjax.ufm.theory.minority import peeled_threshold, ridge_threshold
from ncjax.ufm.theory.row_sum import decay_time, row_sum_factors
from ncjax.ufm.theory.squared_error import (
    imbalanced_squared_error_optimum,
    squared_error_optimum,
)

NODE = shutil.which("node")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
THEORY = Path(ncjax.explorer.__file__).with_name("theory.js")
CALLS = f"""
const theory = require({json.dumps(str(THEORY))});
const calls = JSON.parse(require("fs").readFileSync(0));
console.log(JSON.stringify(calls.map(([name, ...given]) => theory[name](...given))));
"""


def found_by_page(calls):
    """What the functions of the page return: [(name, argument, ...), ...] -> values."""
    asked = json.dumps(calls)
    ran = subprocess.run(
        [NODE, "-e", CALLS], input=asked, capture_output=True, text=True, check=True
    )
    return json.loads(ran.stdout)


def tree_case(rng):
    branching, levels = (int(x) for x in rng.integers((2, 1), (5, 5)))
    sizes = [branching**level for level in range(levels + 1)]
    c, alpha, beta = 10 ** rng.uniform(-6, -0.2), rng.uniform(0, 2), rng.uniform(0, 40)
    kind = rng.choice(["soft", "height", "depth"])
    if kind == "soft":
        optimum = soft_label_optimum(balanced(branching, levels), beta, c)
        call = "softLabelOptimum", sizes, beta, c
    else:
        optimum = hxe_optimum(balanced(branching, levels), alpha, c, str(kind))
        call = "hxeOptimum", sizes, alpha, c, str(kind)
    merged = np.flatnonzero(~optimum.active) + 1
    return call, {
        "logits": optimum.logits,
        "values": optimum.singular_values,
        "objective": optimum.objective,
        "nc2": optimum.nc2,
        "rank": optimum.rank,
        "merged": merged.tolist(),
    }


def cross_entropy_case(rng):
    k, c, smoothing = int(rng.integers(2, 51)), 10 ** rng.uniform(-6, 0), 0.0
    if rng.random() < 0.7:
        smoothing = rng.uniform(0, 0.9)
    optimum = cross_entropy_optimum(k, 1, c, c, label_smoothing=smoothing)
    size = optimum.logits[0, 0] - optimum.logits[0, 1]
    wanted = {"s": size, "objective": optimum.objective}
    return ("crossEntropyOptimum", k, c, smoothing), wanted


def squared_error_case(rng):
    k, c = int(rng.integers(2, 51)), 10 ** rng.uniform(-6, -0.5)
    bias = 10 ** rng.uniform(-5, 3)
    optimum = squared_error_optimum(k, 1, c, c, bias)
    gram = optimum.mean_gram
    with np.errstate(invalid="ignore"):
        cosine = gram[0, 1] / gram[0, 0]
    first, other = optimum.logits[0, :2]
    return ("squaredErrorOptimum", k, c, bias), {
        "u": first - other,
        "v": first + (k - 1) * other,
        "b": optimum.bias[0],
        "cosine": cosine,
        "objective": optimum.objective,
    }


def row_sum_case(rng):
    schedule = str(rng.choice(list(SCHEDULES)))
    steps, rate = int(rng.integers(3, 500)), 10 ** rng.uniform(-4, 0)
    made = SCHEDULES[schedule](1.0, steps, 1)
    rates = rate * np.broadcast_to(made(np.arange(steps)), steps).astype(float)
    decay, momentum = 10 ** rng.uniform(-6, -1), rng.uniform(0, 0.99)
    decoupled, nesterov = rng.uniform(), bool(rng.integers(2))
    options = {"momentum": momentum, "decoupled": decoupled}
    factors = row_sum_factors(rates, decay, nesterov=nesterov, **options)
    given = rates.tolist(), decay, momentum, decoupled, nesterov
    wanted = {"times": decay_time(rates, decay, **options), "factors": factors}
    return ("rowSum", *given), wanted, ("learningRates", schedule, rate, steps), rates


def minority_case(rng):
    majority, minority = (int(x) for x in rng.integers((1, 2), 21))
    energy = 10 ** rng.uniform(-1, math.log10(25))
    call = "logPeeledThreshold", majority, minority, energy
    return call, math.log(peeled_threshold(majority, minority, energy))


def ridge_case(rng):
    counts, mu = rng.integers(1, 10_000, 3), 10 ** rng.uniform(-6, -1)
    logits = imbalanced_squared_error_optimum(counts, mu, mu).logits
    total = int(counts.sum())
    call = "classLogit", total, int(counts[0]), mu
    return call, logits[0, 0], ("ridgeThreshold", total, mu), (total, mu, mu)


@pytest.mark.skipif(NODE is None, reason="no node, which runs the page's functions")
def test_200_settings_are_as_in_python():
    rng = np.random.default_rng(0)
    cases = [tree_case(rng) for _ in range(80)]
    cases += [cross_entropy_case(rng) for _ in range(25)]
    cases += [squared_error_case(rng) for _ in range(25)]
    cases += [minority_case(rng) for _ in range(20)]
    for _ in range(15):
        call, wanted, rates_call, rates = row_sum_case(rng)
        cases += [(call, wanted), (rates_call, rates)]
    for _ in range(10):
        call, logit, edge_call, edge = ridge_case(rng)
        cases += [(call, logit), (edge_call, ridge_threshold(*edge))]
    assert len(cases) == 200
    found = found_by_page([call for call, _ in cases])
    for (call, wanted), values in zip(cases, found, strict=True):
        pairs = [(values, wanted)]
        if isinstance(wanted, dict):
            pairs = [(values[name], value) for name, value in wanted.items()]
        for got, want in pairs:
            got = np.array(got, float)  # JSON has null for what is undefined
            np.testing.assert_allclose(got, want, 1e-3, 1e-6, err_msg=str(call[:5]))


@pytest.mark.skipif(NODE is None, reason="no node, which runs the page's functions")
def test_levels_merge_in_their_order():
    """By hand: soft labels merge siblings first, HXE by height the coarsest level."""
    sizes = [1, 2, 4, 8]
    soft, height, depth = found_by_page(
        [
            ("softLabelOptimum", sizes, 1, 1e-2),
            ("hxeOptimum", sizes, 1, 1e-2, "height"),
            ("hxeOptimum", sizes, 1, 0.08, "depth"),
        ]
    )
    assert (soft["merged"], height["merged"]) == ([1], [3])
    assert depth["merged"][0] == 1
    np.testing.assert_allclose(soft["nc2"], 0.93639, atol=1e-5)
    np.testing.assert_allclose(height["nc2"], 0.47298, atol=1e-5)


def test_the_page_needs_nothing_else(tmp_path):
    write_explorer(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    assert len(text) < 3e6
    assert "default-src 'none'" in text  # the browser itself refuses the network
    own = text.replace(packed.plotly(), "")
    assert not re.findall(r"""(?:src|href)=["']?\w+:""", own)
    assert "$" not in re.sub(r"\$\{", "", own)  # all places were filled


def browse(path, script, tmp_path):
    """The page after `script` has run in it, and what was said of errors."""
    page = explorer().replace("</body>", f"<script>{script}</script></body>")
    path.write_text(page, "utf-8")
    ran = subprocess.run(
        [
            *(BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu"),
            *("--virtual-time-budget=60000", "--enable-logging=stderr"),
            *(f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"),
            f"{path.as_uri()}#tree;beta=10;c=0.001",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return ran.stdout, [x for x in ran.stderr.splitlines() if "CONSOLE" in x]


@pytest.mark.slow  # a browser starts
@pytest.mark.skipif(BROWSER is None, reason="no chromium, which shows the page")
def test_a_browser_shows_the_page_and_its_sliders_work(tmp_path):
    script = """
      const tryIt = () => {
      if (!document.documentElement.dataset.ready) return void setTimeout(tryIt, 20);
      const facts = document.querySelector("#tree dl").getElementsByTagName("dd");
      const shown = () => [...facts].map((x) => x.innerText);
      const before = shown()[1];
      document.getElementById("theme").click();
      const levels = [...document.querySelectorAll("#tree input")][3];
      levels.value = 1;
      levels.dispatchEvent(new Event("input"));
      setTimeout(() => {
        const said = [before, ...shown(), document.documentElement.dataset.theme];
        document.title = JSON.stringify(said);
      }, 500);
      };
      tryIt();
    """
    text, errors = browse(tmp_path / "page.html", script, tmp_path)
    assert errors == []
    said = json.loads(re.search("<title>(.*)</title>", text)[1].replace("&amp;", "&"))
    assert said[0] == "0.499"  # of the address: beta = 10, 3 levels
    assert said[1:4] == ["2", "0", "1 of 1"]  # one level: the simplex of 2 classes
    assert said[-1] == "dark"
    assert text.count('class="main-svg"') >= 11  # the plots


def test_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["--explorer", "mine.html"]) == 0
    assert capsys.readouterr().out == "Written to mine.html\n"
    assert (tmp_path / "mine.html").read_text() == explorer()
