"""What is finished, by key."""

import pytest

from dopsd.study.store import CARD, Store, content, of, publish
from dopsd.support import sealed
from dopsd.training.state import fingerprint


def folder(path, **files):
    path.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (path / name).write_text(text)
    return path


def test_content_is_bytes_and_names(tmp_path):
    a, b = folder(tmp_path / "a", x="1", y="2"), folder(tmp_path / "b", x="1", y="2")
    assert content(a) == content(b)
    assert content(a) != content(folder(tmp_path / "c", x="1", z="2"))
    assert content(a) != content(folder(tmp_path / "d", x="1", y="3"))
    assert content(a, ("y",)) == content(folder(tmp_path / "e", x="1", y="4"), ("y",))
    assert content(a / "x") == content(b / "x")


def test_keys_differ_with_every_part():
    assert fingerprint("a", {"x": 1}, 2) == fingerprint("a", {"x": 1}, 2)
    assert (
        len(
            {
                fingerprint("a", 1),
                fingerprint("a", 2),
                fingerprint("b", 1),
                fingerprint("a", 1, None),
                fingerprint("a", [1]),
                fingerprint("a", "1"),
            }
        )
        == 6
    )


def test_what_was_put_is_found_and_a_part_of_it_never(tmp_path):
    store = Store(tmp_path / "store")
    assert store.find("k") is None
    done = store.put("k", folder(store.work("k") / "inner", x="1"), device="cpu")
    assert store.find("k") == done and (done / "x").read_text() == "1" and not store.work("k").exists()
    assert sealed.owner(done) == {"cell": "k"} and sealed.facts(done) == {"device": "cpu"}
    (done / CARD).unlink()
    assert store.find("k") is None


def test_a_published_folder_is_found_by_its_key_only(tmp_path):
    store = Store(tmp_path / "store")
    out = folder(tmp_path / "out", x="1")
    sealed.seal(out, of("k"))
    assert store.find("k", out) == out and store.find("other", out) is None


@pytest.fixture
def finished(tmp_path):
    store = Store(tmp_path / "store")
    return [store.put(k, folder(store.work(k), x=k, **{"time.json": "{}"}), device="cpu") for k in ("a", "b")]


def test_publishing_copies_prunes_and_leaves_what_is_there(tmp_path, finished):
    root = tmp_path / "out"
    folder(root / "sft" / "gone" / "0", x="old")
    folder(root / "old-method" / "gone" / "0", x="old")
    (root / "stray").write_text("")
    targets = {root / "sft" / "new" / "0": finished[0], root / "sft" / "new" / "1": finished[1]}
    publish(targets, root)
    assert sorted(str(f.relative_to(root)) for f in root.rglob("*") if f.is_file()) == [
        "sft/new/0/sealed.json", "sft/new/0/x", "sft/new/1/sealed.json", "sft/new/1/x",
    ]  # fmt: skip
    before = (root / "sft" / "new" / "0" / "x").stat().st_mtime_ns
    publish(targets, root)
    assert (root / "sft" / "new" / "0" / "x").stat().st_mtime_ns == before


def test_a_published_folder_of_another_key_is_replaced(tmp_path, finished):
    root = tmp_path / "out"
    publish({root / "0": finished[0]}, root)
    publish({root / "0": finished[1]}, root)
    assert (root / "0" / "x").read_text() == "b" and finished[1].exists()


def test_a_damaged_cell_is_said_and_not_taken(tmp_path, finished, capsys):
    store, root = Store(tmp_path / "store"), tmp_path / "out"
    publish({root / "0": finished[0]}, root)
    (finished[0] / "x").write_text("b")
    assert store.find("a", root / "0") == root / "0"
    assert "store/a/x: damaged (its bytes are not those that were written); it is not taken" in capsys.readouterr().err
    (root / "0" / "more").write_text("")
    assert store.find("a", root / "0") is None


def test_what_is_published_is_whole_and_a_damaged_target_is_replaced(tmp_path, finished):
    root = tmp_path / "out"
    publish({root / "0": finished[0]}, root)
    (root / "0" / "x").write_text("b")
    publish({root / "0": finished[0]}, root)
    assert (root / "0" / "x").read_text() == "a"
    (finished[1] / "x").write_text("torn")
    with pytest.raises(sealed.Damaged, match="x: damaged"):
        publish({root / "0": finished[1]}, root)
    assert (root / "0" / "x").read_text() == "a" and [f.name for f in root.iterdir()] == ["0"]


def test_what_a_killed_writer_left_is_no_part_of_a_cell(tmp_path):
    store = Store(tmp_path / "store")
    made = folder(store.work("k") / "inner", x="1")
    folder(made / "deep" / ".tmp-step", y="2")
    folder(store.place("k"), old="3")
    done = store.put("k", made)
    assert {f.name for f in done.rglob("*") if f.is_file()} == {"x", sealed.FILE}
