import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_interval_in_the_readme_stands_in_the_report():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    report = "".join(
        (ROOT / f).read_text(encoding="utf-8") for f in ("reports/REPORT.md", "studies/full/reports/REPORT.md")
    )
    quoted = re.findall(r"[+-]?\d+\.\d+ \[[^\]]*\d[^\]]*\]", " ".join(readme.split()))
    assert quoted
    assert [q for q in quoted if q not in report] == []


def test_every_local_link_of_the_readme_leads_somewhere():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", readme) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
