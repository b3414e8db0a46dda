"""claims.yaml in git repositories of a few commits."""

import subprocess

import pytest

from dopsd.report import ledger

NOT_KNOWN = (ledger.NO_HISTORY, "", [])


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A git repository, and a function that runs git in it: what it says."""
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "somebody")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "somebody@example.org")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    folder = tmp_path / "repository"
    folder.mkdir()

    def git(*command):
        done = subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "-q")
    return folder, git


def write(file, **claims):
    lines = [f"  - {{id: {name}, bar: {bar}, claim: {says}}}" for name, (bar, says) in claims.items()]
    file.write_text("claims:\n" + "\n".join(lines) + "\n")


def commit(git):
    git("add", "-A")
    git("commit", "-q", "-m", "x")
    return git("rev-parse", "HEAD")


def test_a_bar_dates_from_the_commit_that_brought_it(repository):
    folder, git = repository
    file = folder / "claims.yaml"
    write(file, learns=(0.2, "it learns"), stays=(0.5, "it stays"))
    first = commit(git)
    write(file, learns=(0.3, "it learns"), stays=(0.5, "it stays"), late=(1.0, "new"))
    second = commit(git)
    found = ledger.committed(["learns", "stays", "late", "nobody"], file)
    assert found["learns"].commit == found["late"].commit == second and found["stays"].commit == first
    assert found["stays"].date == git("show", "-s", "--format=%cI", first) and found["learns"].changes == []
    assert found["nobody"] == (ledger.NOT_COMMITTED, "", [])


def test_later_changes_of_a_claim_are_listed_and_a_bar_that_came_back_is_new(repository):
    folder, git = repository
    file = folder / "claims.yaml"
    commits = []
    for bar, says in ((0.2, "a"), (0.3, "a"), (0.2, "a"), (0.2, "b")):
        write(file, learns=(bar, says), other=(1.0, "fixed"))
        commits.append(commit(git))
    found = ledger.committed(["learns", "other"], file)
    assert found["learns"].commit == commits[2] and found["other"].changes == []
    changed = {"commit": commits[3], "date": git("show", "-s", "--format=%cI"), "fields": ["claim"]}
    assert found["learns"].changes == [changed]


def test_the_file_of_the_folder_is_followed_through_its_renaming(repository):
    folder, git = repository
    write(folder / "asked.yaml", learns=(0.2, "it learns, which is said at some length"))
    first = commit(git)
    (folder / "studies").mkdir()
    git("mv", "asked.yaml", "studies/claims.yaml")
    write(folder / "claims.yaml", learns=(0.9, "of another study"))
    commit(git)
    assert ledger.committed(["learns"], folder / "studies" / "claims.yaml")["learns"].commit == first


def test_what_is_not_committed_is_said(repository):
    folder, git = repository
    file = folder / "claims.yaml"
    write(file, learns=(0.2, "a"), stays=(0.5, "b"))
    assert ledger.committed(["learns"], file)["learns"] == NOT_KNOWN  # a repository without a commit
    (folder / "other").write_text("x")
    git("add", "other")
    git("commit", "-q", "-m", "x")
    assert ledger.committed(["learns"], file)["learns"].commit == ledger.NOT_COMMITTED
    first = commit(git)
    write(file, learns=(0.4, "a"), stays=(0.5, "b"))
    found = ledger.committed(["learns", "stays"], file)
    assert found["learns"] == (ledger.NOT_COMMITTED, "", []) and found["stays"].commit == first


def test_without_git_nothing_is_known(repository, tmp_path, monkeypatch):
    folder, git = repository
    write(folder / "claims.yaml", learns=(0.2, "a"))
    commit(git)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    write(tmp_path / "claims.yaml", learns=(0.2, "a"))
    assert ledger.committed(["learns"], tmp_path / "claims.yaml")["learns"] == NOT_KNOWN
    assert ledger.committed([], tmp_path / "none" / "claims.yaml") == {}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ledger.committed(["learns"], folder / "claims.yaml")["learns"] == NOT_KNOWN


def test_a_shallow_clone_knows_only_what_it_holds(repository, tmp_path):
    folder, git = repository
    file = folder / "claims.yaml"
    for bar in (0.2, 0.3):
        write(file, learns=(bar, "a"), stays=(0.5, "b"))
        last = commit(git)
    git("clone", "-q", "--depth", "1", f"file://{folder}", str(tmp_path / "cut"))
    git("clone", "-q", f"file://{folder}", str(tmp_path / "full"))
    cut = ledger.committed(["learns", "stays"], tmp_path / "cut" / "claims.yaml")
    assert cut["learns"] == cut["stays"] == (ledger.CUT_OFF, "", [])
    assert ledger.committed(["learns"], tmp_path / "full" / "claims.yaml")["learns"].commit == last
