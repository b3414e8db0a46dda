"""Which locked dependency has a known advisory: `make audit` asks pip-audit, which asks the index of packages.

Exit status 0: none; 1: some, a line each; 2: it could not be asked.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from dopsd.support.errors import UserError, reported, told

LOCK = Path("requirements.lock")
COMMAND = (sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--progress-spinner", "off")


class NotAsked(UserError):
    """The advisories could not be had."""

    status = 2


def asked(lock: Path) -> str:
    """pip-audit's answer on a lock, as JSON; NotAsked where there is none."""
    if not lock.is_file():
        raise NotAsked(f"{lock}: missing; run from the repository's root")
    command = (*COMMAND, "--format", "json", "--desc", "off", "--requirement", str(lock))
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 1) or not done.stdout.strip():  # 1: advisories, or an error without an answer
        raise NotAsked(f"{lock}: could not be audited ({last_line(done.stderr)}); is the network there?")
    return done.stdout


def last_line(said: str) -> str:
    """What a program says last, which tells why it failed."""
    return (said.strip().splitlines() or ["no answer"])[-1].strip()


def advisories(answer: str) -> tuple[list[str], list[str]]:
    """A line an advisory (package, version, its names, the versions that mend it), and the packages that could not be looked
    up. NotAsked where the text is no answer of pip-audit's."""
    try:
        packages: list[dict[str, Any]] = json.loads(answer)["dependencies"]
        unknown, found = [p["name"] for p in packages if "skip_reason" in p], []
        for p in packages:
            for v in [] if p["name"] in unknown else p["vulns"]:
                fixed = ", ".join(v["fix_versions"]) or "no version yet"
                found.append(
                    f"{p['name']} {p['version']}: {', '.join([v['id'], *v.get('aliases', [])])}; mended in {fixed}"
                )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotAsked(f"not an answer of pip-audit's ({type(error).__name__}: {told(error)})") from None
    return found, unknown


def main(lock: Path = LOCK) -> int:
    """Print what is known of a lock -> the exit status. NotAsked where nothing is known of a package, and no advisory of
    others."""
    found, unknown = advisories(asked(lock))
    if found or not unknown:
        print("\n".join(found) or f"{lock}: no known advisory")
    if unknown:
        said = f"{lock}: {len(unknown)} packages could not be looked up ({', '.join(unknown[:3])}, ...)"
        if not found:
            raise NotAsked(f"{said}; ask an index that knows advisories, such as pypi.org")
        print(said, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    with reported():
        sys.exit(main())
