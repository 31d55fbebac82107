"""A page: what it is made of, and that nothing from files becomes HTML or script."""

import html
import re
import shlex

from ncjax.report.page import Page, command, escape, links, listed, table
from tests.report.made import NASTY, data_of


def test_text_is_escaped_wherever_it_stands(tmp_path):
    for nasty in NASTY:
        page = Page(nasty)
        chart = {"data": [{"name": nasty}], "layout": {}}
        page.section(nasty, table((nasty,), [(nasty,)]), listed([nasty], nasty))
        page.section("Chart", page.chart("key", chart, nasty, note=nasty))
        page.data("value", nasty)
        text = page.render()
        assert text.count(nasty) == 0 or nasty == "a & b"
        assert data_of(text)["value"] == nasty
        assert data_of(text)["charts"]["key"]["data"] == [{"name": nasty}]
        assert text.count("<script") == text.count("</script>") == 3


def test_the_page_needs_no_network():
    text = Page("x").render()
    head = text[: text.index("</head>")]
    assert "default-src 'none'" in head
    assert not re.findall(r"(?:src|href)=\"(?!#|data:)", text)
    assert len(text) < 3_000_000


def test_numbers_that_json_lacks_become_null():
    page = Page("x")
    page.data("values", [float("nan"), float("inf"), 1.5])
    assert data_of(page.render())["values"] == [None, None, 1.5]


def test_links_are_relative_to_the_page(tmp_path):
    folder = tmp_path / "a run%"
    folder.mkdir()
    (folder / "metrics.jsonl").write_text("12345")
    found = links(folder, tmp_path / "out.html", ["metrics.jsonl", "not there"])
    assert 'href="a%20run%25/metrics.jsonl"' in found
    assert "5 bytes" in found
    assert "not there" not in found
    assert links(folder, tmp_path / "out.html", ["none"]) == ""


def test_pictures_are_within_the_page(tmp_path):
    page = Page("x")
    (tmp_path / "a.png").write_bytes(b"\x89PNG....")
    (tmp_path / "b.png").write_bytes(b"<script>")
    assert "data:image/png;base64,iVBOR" in page.picture(tmp_path / "a.png", "a")
    for name in ("b.png", "c.png"):
        assert page.picture(tmp_path / name, "none") == ""


def test_sections_without_content_are_left_out():
    page = Page("x")
    page.section("Empty", "", "")
    page.section("Full", "<p>here</p>")
    text = page.render()
    assert "#full" in text
    assert "Empty" not in text


def test_a_long_command_has_a_line_for_each_flag():
    assert command({}) == command({"command": None}) == ""
    assert command({"command": "ncjax <b> --x=1"}) == "<pre>ncjax &lt;b&gt; --x=1</pre>"
    text = "python -m ncjax train --config=mine.py --config.loss.name='a b' " + "x" * 60
    wrapped = command({"command": text}).removeprefix("<pre>").removesuffix("</pre>")
    first, second, third = html.unescape(wrapped).split(" \\\n")
    assert first == "python -m ncjax train"
    assert shlex.split(f"{first} {second} {third}") == shlex.split(text)
    assert command({"command": "'" + "x" * 99}) == f"<pre>&#x27;{'x' * 99}</pre>"


def test_escape():
    assert escape('<a b="c">') == "&lt;a b=&quot;c&quot;&gt;"
