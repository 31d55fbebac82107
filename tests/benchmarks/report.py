"""How large pages are, and what a browser needs to open one and draw it all.

    python -m tests.benchmarks.report runs/digits runs/sweep explorer.html ...

A folder has its page made anew; the page is then opened in headless Chromium, 1200
pixels wide, from a server of this program.  Counted are seconds on the clock, from the
request to the last chart, and those of CPU that the process of the page has used until
then, which other programs on the machine change less: the least of the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ncjax.report.write import write_report
from tests.benchmarks.harness import RESULTS, report

_PATIENCE = 120  # seconds for a browser to start and to draw
# In the page: tells when its script has drawn everything.
TELL = """<script>
const tell = () => document.documentElement.dataset.ready
  ? requestAnimationFrame(() => parent.postMessage(performance.now(), "*"))
  : setTimeout(tell, 5);
tell();
</script></body>"""
# Around it, for a page may not speak to a server.
AROUND = """<!DOCTYPE html><body><script>
addEventListener("message", (e) => fetch("/told", { method: "POST", body: e.data }));
</script><iframe src="/page" style="width:1200px;height:900px"></iframe></body>"""


class Visit:
    """A server of one page, which is told when the page is there."""

    def __init__(self, text: str):
        """Starts to serve."""
        told, pages = threading.Event(), {"/": AROUND, "/page": text}
        self.told, self.seconds, visit = told, float("nan"), self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = pages.get(self.path, "").encode()
                self.send_response(200 if content else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(content)

            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                visit.seconds = float(self.rfile.read(size)) / 1000
                self.send_response(204)
                self.end_headers()
                told.set()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def cpu_of_pages(session: int) -> float:
    """Seconds of CPU that the pages of a browser have used, by its session."""
    found = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "stat").read_text().rpartition(")")[2].split()
            page = b"--type=renderer" in (folder / "cmdline").read_bytes()
            if page and int(words[3]) == session:
                found += int(words[11]) + int(words[12])
    return found / os.sysconf("SC_CLK_TCK")


def seconds_to_open(path: Path) -> tuple[float, float]:
    """Seconds on the clock and of CPU until a page is drawn; NaN if it never is."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("There is no chromium here, which opens the pages.")
    visit = Visit(path.read_text("utf-8").replace("</body>", TELL))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run")
        where = f"http://127.0.0.1:{visit.server.server_port}/"
        size = "--window-size=1300,1000"
        command = [browser, *flags, size, f"--user-data-dir={profile}", where]
        with open(os.devnull, "w") as nowhere:
            running = subprocess.Popen(command, stderr=nowhere, start_new_session=True)
        visit.told.wait(_PATIENCE)
        used = cpu_of_pages(running.pid)
        running.terminate()
        running.wait()
    visit.server.shutdown()
    return visit.seconds, used


def main() -> None:
    """Prints the table and stores it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="+", type=Path, help="folders of runs, or pages")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rows = []
    for page in options.pages:
        began = time.perf_counter()
        path = write_report(page) if page.is_dir() else page
        row: dict[str, object] = {"page": page.name, "bytes": path.stat().st_size}
        row["s to write"] = time.perf_counter() - began
        found = [seconds_to_open(path) for _ in range(options.rounds)]
        row["s to open"], row["s of CPU"] = map(min, zip(*found, strict=True))
        rows.append(row)
        print(json.dumps(row), flush=True)
    (RESULTS / "report").mkdir(exist_ok=True)
    report("report/pages", rows)


if __name__ == "__main__":
    main()
