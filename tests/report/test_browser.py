"""The page in headless Chromium: no errors, toggles, slider, dark, a phone's width."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from ncjax.report.write import write_report
from tests.report.made import EPOCHS, measured, write_run

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no chromium here"
)

# Before the script of the page: what goes wrong from the first line on.
FIRST = """<script>
const wrong = [];
addEventListener("error", (e) => wrong.push(String(e.message)));
addEventListener("unhandledrejection", (e) => wrong.push(String(e.reason)));
addEventListener("securitypolicyviolation", (e) => wrong.push(e.blockedURI));
for (const kind of ["error", "warn"])
  console[kind] = (...text) => wrong.push(text.join());
</script>"""

# After it: a reader who tries everything, and tells the page around.
LAST = """<script>
const asked = (what) => document.querySelector(what);
const color = () => getComputedStyle(document.body).backgroundColor;
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const axis = () => asked("#curve-1")._fullLayout.xaxis.type;
const tell = async () => {
  while (!document.documentElement.dataset.ready && !wrong.length) await wait(20);
  const found = { ready: performance.now(), width: innerWidth };
  const charts = [...document.querySelectorAll(".chart")];
  const those = (is) => charts.filter(is).map((chart) => chart.id);
  found.empty = those((chart) => !chart.querySelector("svg"));
  found.broad = those((chart) => chart.scrollWidth > chart.clientWidth + 1);
  found.overflow = document.documentElement.scrollWidth - innerWidth;
  found.theme = [color(), asked("#curve-0")._fullLayout.font.color];
  asked("#theme").click(); await wait(200);
  found.other = [color(), asked("#curve-0")._fullLayout.font.color];
  found.axis = [axis()];
  asked("[data-axis=xaxis]").click(); await wait(200);
  found.axis.push(axis());
  const slider = asked("#epoch"), z = () => asked("#cosines").data[0].z[0][1];
  found.cosine = [z()];
  slider.value = 0; slider.dispatchEvent(new Event("input")); await wait(200);
  found.cosine.push(z()); found.epoch = asked("#epoch-shown").textContent;
  const own = (x) => x.meta === "seed" && x.visible;
  const seeds = () => asked("#curve-0").data.filter(own);
  found.seeds = [seeds().length];
  asked("[data-show=seed]").click(); await wait(200);
  found.seeds.push(seeds().length);
  const level = asked("[data-of=confusion]"), when = asked("#confusion-epoch");
  const mistaken = () => asked("#confusion").data[0].text[0][3];
  found.mistaken = [mistaken()];
  when.value = 0; when.dispatchEvent(new Event("input")); await wait(200);
  found.mistaken.push(mistaken());
  const rows = () => asked("#confusion").data[0].z.length;
  found.rows = [rows()];
  level.selectedIndex = 0; level.dispatchEvent(new Event("change")); await wait(200);
  found.rows.push(rows());
  const metric = asked("#metric"), line = () => asked("#metric-chart").data.at(-1).y[0];
  metric.value = "nc/nc1"; metric.dispatchEvent(new Event("change")); await wait(200);
  found.metric = line();
  found.wrong = wrong;
  parent.postMessage(JSON.stringify(found), "*");
};
tell();
</script>"""

AROUND = """<!DOCTYPE html><body><script>
const told = [], out = document.createElement("pre");
addEventListener("message", (e) => {
  told.push(JSON.parse(e.data));
  if (told.length === 2) { out.id = "told"; out.textContent = JSON.stringify(told);
    document.body.append(out); }
});
for (const width of [1200, 390]) {
  const frame = document.createElement("iframe");
  frame.src = "page.html"; frame.style.width = `${width}px`;
  frame.style.height = "900px"; frame.style.border = 0;
  document.body.append(frame);
}
</script></body>"""


def visit(folder, *flags):
    """What the reader in a wide and in a narrow window has found."""
    command = [
        *(CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu"),
        *("--window-size=1700,1000", "--virtual-time-budget=60000", "--dump-dom"),
        *(f"--user-data-dir={folder / 'profile'}", *flags),
        f"file://{folder / 'around.html'}",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=240)
    told = re.search(r'<pre id="told">(.*?)</pre>', ran.stdout, re.DOTALL)
    assert told, ran.stdout[-2000:] + ran.stderr[-2000:]
    return sorted(json.loads(html.unescape(told[1])), key=lambda x: -x["width"])


@pytest.mark.slow  # seconds of a browser
@needs_chromium
def test_a_reader_tries_everything(tmp_path):
    ends = {"train/error/low": 0.0, "train/error/high": 0.2}
    rows = [measured(epoch, **ends) for epoch in EPOCHS]
    rows[0]["test/confusion"] = (np.eye(4) * 8 + 2 * np.eye(4)[::-1]).tolist()
    folder = write_run(tmp_path / "run", rows, num_seeds=2)
    write_run(folder / "seeds" / "0")
    text = write_report(folder).read_text()
    text = text.replace("<head>", f"<head>{FIRST}", 1).replace(
        "</body>", f"{LAST}</body>"
    )
    (tmp_path / "page.html").write_text(text)
    (tmp_path / "around.html").write_text(AROUND)
    wide, narrow = visit(tmp_path, "--blink-settings=preferredColorScheme=0")
    assert (wide["width"], narrow["width"]) == (1200, 390)
    dark, light = "rgb(20, 23, 28)", "rgb(255, 255, 255)"
    for found in (wide, narrow):
        assert found["wrong"] == []
        assert found["empty"] == found["broad"] == []
        assert found["overflow"] <= 0
        assert found["theme"] == [dark, "#e7e9ec"]
        assert found["other"] == [light, "#1b1f24"]
        assert found["axis"] == ["log", "linear"]
        assert found["epoch"] == "epoch 1"
        assert found["cosine"][0] != found["cosine"][1]
        assert found["seeds"] == [0, 2]
        assert found["mistaken"] == ["10", "20"]
        assert found["rows"] == [4, 2]
        assert found["metric"] == 1.0
