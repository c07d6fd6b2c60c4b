"""The report in a real browser: hostile text stays text, nothing is fetched, nothing is wider than the screen."""

from __future__ import annotations

import functools
import html.parser
import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from synthetic_study import write_study

from analysis.report import write
from sycojax.files import read_json, write_json

WIDTHS = (390, 1100)
# What a data set could hold to get out of its place; {base} is a server that would notice a request.
HOSTILE = (
    "<script>document.title='owned'</script>",
    "<img src='{base}/stolen' onerror=\"document.title='owned'\">",
    '"><svg onload="document.title=\'owned\'">',
    "</td></tr></table></details></section><style>body{{background:url({base}/style)}}</style>",
    "' onmouseover='document.title=1' x='",
    "long" * 200,
)
# Asks the page inside each frame how wide it is, and which elements stick out of it.
MEASURE = """
<script>
const wide = [...document.querySelectorAll('body *')].filter(
  e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll, .sheet, pre'));
parent.postMessage({inner: innerWidth, scroll: document.documentElement.scrollWidth,
  title: document.title, wide: wide.slice(0, 5).map(e => e.outerHTML.slice(0, 120))}, '*');
</script>
"""


def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.skip("chromium is not installed: the report is not rendered in a browser")
    return found


def browse(profile: Path, *arguments: str) -> str:
    """Standard output of a headless browser that can reach this machine only."""
    done = subprocess.run(
        [
            chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--user-data-dir={profile}",
            "--virtual-time-budget=5000", *arguments,
        ],
        capture_output=True, text=True, timeout=240, check=True,
    )  # fmt: skip
    return done.stdout


class Tags(html.parser.HTMLParser):
    """The element and attribute names of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


class Server:
    """Files of a directory over HTTP, and every path that was asked for."""

    def __init__(self, directory: Path):
        self.asked: list[str] = []
        asked = self.asked

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                asked.append(self.path)

        handler = functools.partial(Handler, directory=str(directory))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A report whose study names, notes and config are hostile, and the server it is read from."""
    directory = tmp_path_factory.mktemp("study")
    server = Server(directory)
    texts = [t.format(base=server.base) for t in HOSTILE]
    evaluations = ("mmlu", "answer", "are_you_sure")
    write_study(directory, items=6, adapters=("mmlu", "combined"), evaluations=evaluations)
    document = read_json(directory / "study.json")
    document |= {"name": texts[0], "commit": texts[1], "notes": texts, "devices": texts}
    document["config"]["data"]["path"] = " ".join(texts)
    document["data"]["fingerprints"] = {t: t for t in texts}
    document["versions"] = dict.fromkeys(texts, "1")
    write_json(directory / "study.json", document)
    write(directory)
    yield server, directory
    server.close()


def test_no_script_runs_and_nothing_is_fetched(served: tuple[Server, Path], tmp_path: Path) -> None:
    server, _ = served
    server.asked.clear()
    page = browse(tmp_path, "--dump-dom", f"{server.base}/report/index.html")
    assert "<title>sycojax study: &lt;script&gt;" in page, "the title is the study's name as text"
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.names
    assert not [a for a in tags.attributes if a.startswith("on")], "no handler became an attribute"
    assert page.count("<img") == page.count('src="data:image/svg+xml;base64,')
    assert page.count("</section>") == 15
    strangers = [p for p in server.asked if p not in ("/report/index.html", "/favicon.ico")]
    assert not strangers


def test_escaping_holds_without_the_content_policy(
    served: tuple[Server, Path], tmp_path: Path
) -> None:
    """And no element sticks out at the width of a phone or of a screen."""
    server, directory = served
    page = (directory / "report" / "index.html").read_text(encoding="utf-8")
    bare = re.sub(r"<meta http-equiv=.*?>", "", page)
    assert bare != page
    bare = bare.replace("<details>", "<details open>").replace("</body>", f"{MEASURE}</body>")
    (directory / "bare.html").write_text(bare, encoding="utf-8")
    frames = "".join(
        f'<iframe src="bare.html" style="width:{w}px;height:900px;border:0"></iframe>'
        for w in WIDTHS
    )
    (directory / "frames.html").write_text(
        f"<!doctype html><body>{frames}<pre id=found></pre><script>const all = [];"
        "addEventListener('message', e => { all.push(e.data);"
        "document.getElementById('found').textContent = JSON.stringify(all); });</script>",
        encoding="utf-8",
    )
    server.asked.clear()
    shown = browse(tmp_path, "--window-size=1600,1200", "--dump-dom", f"{server.base}/frames.html")
    found = re.search(r'<pre id="found">(.*?)</pre>', shown, re.S)
    assert found, shown[:500]
    measured = json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert sorted(m["inner"] for m in measured) == list(WIDTHS)
    for m in measured:
        assert m["scroll"] <= m["inner"], m
        assert not m["wide"], m
        assert m["title"].startswith("sycojax study: <script>"), "no handler has run"
    allowed = ("/frames.html", "/bare.html", "/favicon.ico")
    assert not [p for p in server.asked if p not in allowed]


def test_it_prints_with_the_folded_parts_open(served: tuple[Server, Path], tmp_path: Path) -> None:
    """More pages come out than with nothing in the folds; the PDF is whole."""
    server, directory = served
    page = (directory / "report" / "index.html").read_text(encoding="utf-8")
    folded = r"(<details><summary>[^<]*</summary>).*?</details>"
    without = re.sub(folded, r"\1</details>", page, flags=re.S)
    (directory / "without.html").write_text(without, encoding="utf-8")
    pages = []
    for name in ("report/index.html", "without.html"):
        out = tmp_path / "page.pdf"
        browse(tmp_path / "profile", f"--print-to-pdf={out}", f"{server.base}/{name}")
        data = out.read_bytes()
        assert data.startswith(b"%PDF")
        assert b"%%EOF" in data[-32:]
        pages.append(len(re.findall(rb"/Type\s*/Page\b", data)))
    assert pages[0] > pages[1] > 3
