"""The page in a real browser: at desk and phone width, light and dark. Where no Chromium is found, it is not run."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest
from PIL import Image

PAGE = Path(__file__).parents[2] / "reports" / "index.html"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
MEASURE = """<script>
const ledger = [...document.querySelectorAll("#ledger table.sortable")].find(t => t.tHead.textContent.includes("verdict"));
const column = () => [...ledger.tBodies[0].rows].map(row => parseFloat(row.cells[3].textContent));
ledger.tHead.rows[0].cells[3].click();
const up = column();
ledger.tHead.rows[0].cells[3].click();
const wide = [...document.querySelectorAll("main *")].filter(e => {
  const box = e.getBoundingClientRect();
  return box.right > innerWidth + 1 && !e.closest(".scroll, .card, .formula, nav");
});
parent.postMessage(JSON.stringify({
  width: innerWidth, scrolls: document.documentElement.scrollWidth, wide: wide.map(e => e.outerHTML.slice(0, 80)),
  broken: [...document.images].filter(i => !(i.complete && i.naturalWidth)).length, images: document.images.length,
  asked: performance.getEntriesByType("resource").map(e => e.name).filter(n => !n.startsWith("data:")),
  up, down: column(), paper: getComputedStyle(document.body).backgroundColor, ink: getComputedStyle(document.body).color,
  tile: document.querySelector(".grid img").getBoundingClientRect().width,
}), "*");
</script>"""
FRAME = """<meta name="color-scheme" content="light dark"><body style="margin: 0"><pre id="measured"></pre><script>
addEventListener("message", said => { document.getElementById("measured").textContent = said.data; });
</script><iframe src="page.html" style="position: absolute; inset: 0; border: 0; width: %dpx; height: 2000px"></iframe>"""


def browse(folder, width, dark, *more):
    """What Chromium prints of the page in a frame of this width (its windows have 500 pixels at least), which says what it
    measured in itself."""
    text = PAGE.read_text(encoding="utf-8").replace("</body>", MEASURE + "</body>")
    (folder / "page.html").write_text(text, encoding="utf-8")
    (folder / "index.html").write_text(FRAME % width, encoding="utf-8")
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1300,2000", "--virtual-time-budget=20000"]
    command += [f"--blink-settings=preferredColorScheme={0 if dark else 1}", *more, (folder / "index.html").as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout


def lightness(colour):
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


@pytest.mark.skipif(CHROMIUM is None, reason="not run: no Chromium on this machine")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390], ids=["desk", "phone"])
def test_the_page_fits_and_sorts_and_loads_nothing(tmp_path, width, dark):
    found = json.loads(
        unescape(re.search(r'<pre id="measured">(.+?)</pre>', browse(tmp_path, width, dark, "--dump-dom"))[1])
    )
    assert found["width"] == width and found["scrolls"] <= width and found["wide"] == []
    assert found["broken"] == 0 and found["images"] > 200 and found["asked"] == [] and found["tile"] >= 3 * 64
    assert found["up"] == sorted(found["up"]) and found["down"] == found["up"][::-1]
    assert (lightness(found["paper"]) < 60 < 180 < lightness(found["ink"])) == dark
    assert (lightness(found["paper"]) > 180 > 60 > lightness(found["ink"])) != dark
    browse(tmp_path, width, dark, f"--screenshot={tmp_path / 'seen.png'}")
    corner = Image.open(tmp_path / "seen.png").convert("L").getpixel((2, 2))
    assert (corner < 60) == dark
