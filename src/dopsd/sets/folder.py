"""A person's own pictures: a folder of them with captions in any of the usual forms.

The release's JSONL (data.jsonl, see `jsonl`), metadata.jsonl or metadata.csv with file_name and text, a text beside each
picture (a.txt, a.jpg.txt, a.caption: a line a caption), or no captions at all.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dopsd.sets import captions
from dopsd.sets.captions import PLACEHOLDER, Captions
from dopsd.sets.items import MULTIPLE, Item, digest, lost
from dopsd.sets.jsonl import read_set
from dopsd.sets.listing import MANIFESTS, Left, Listing, grouped, listed
from dopsd.support.errors import UserError
from dopsd.support.opener import SUFFIXES, Header, colour, opened, peek
from dopsd.support.progress import progress

SHAPES = 11  # aspect buckets, from 1 : 2 to 2 : 1, as many as the release has
DECODED = 200  # pictures that are decoded as a check before work begins; of more, so many from all over the set
LOST = 0.25  # a crop that loses a larger share is told
ENLARGED = 2.0  # so is a picture that is enlarged more


def buckets(side: int) -> list[tuple[int, int]]:
    """The (height, width) that pictures are trained at: eleven shapes of about side x side pixels, multiples of 16."""

    def length(x: float) -> int:
        return max(MULTIPLE, round(x / MULTIPLE) * MULTIPLE)

    half = SHAPES // 2
    ratios = [2 ** (k / half) for k in range(-half, half + 1)]
    return [(length(side * math.sqrt(r)), length(side / math.sqrt(r))) for r in ratios]


def bucket(height: int, width: int, side: int) -> tuple[int, int]:
    """The bucket that crops a picture of this size least: the nearest in the logarithm of height / width."""
    return min(buckets(side), key=lambda b: abs(math.log(b[0] / b[1]) - math.log(height / width)))


@dataclass(frozen=True)
class Pictures:
    """What of a folder is trained on. left: files and folders that are not, each with the reason. notes: what is done to the
    pictures that a person would want to know."""

    folder: Path
    items: list[Item]
    left: Left = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def said(self) -> list[str]:
        """All of it as lines, to be printed before anything runs and written into the card."""
        n = len(self.items)
        with_texts = [i for i in self.items if i.captions]
        unnamed = sum(not any(PLACEHOLDER in t for t in i.captions.values()) for i in with_texts)
        lines = [f"{n} picture{'s' * (n != 1)} taken, {len(with_texts)} with captions"]
        if unnamed:
            lines.append(f"captions of {unnamed} do not name {PLACEHOLDER}")
        return lines + self.notes + [f"left out: {line}" for line in grouped(self.left, self.folder)]


def read_pictures(
    folder: Path, name: str, side: int | None, background: str = "white", out: Path | None = None
) -> Pictures:
    """The pictures of a folder, with the captions that are there (maybe none), at the size that they are trained at.

    name: what "[V]" is, such as "corgi". side: pixels of a square picture; other shapes get a bucket of the same area.
    None: as the release's JSONL says. background: the colour under what is transparent. out: where the run writes; nothing in
    it is taken. UserError names the file, the line and the remedy; a picture that cannot be read is one where a manifest
    names it, else it is left out.
    """
    colour(background)
    found = listed(folder, out)
    manifest = next((folder / m for m in MANIFESTS if (folder / m).exists()), None)
    left = found.left + [
        (folder / m, f"{manifest.name} is read instead")
        for m in MANIFESTS
        if manifest and (folder / m).exists() and m != manifest.name
    ]
    if manifest and manifest.name == "data.jsonl":
        items = [replace(i, background=background) if background != "white" else i for i in read_set(manifest)]
        items = [replace(i, size=bucket(*i.size, side)) for i in items] if side else items
        left += _unnamed(found, [f for i in items for f in (i.file, *i.inputs)], manifest)
        left += [(file, f"{manifest.name} gives the captions") for file in found.texts]
        return _checked(folder, items, {i.file: peek(i.file) for i in items}, left, [], True)
    if side is None:
        raise UserError(f"{folder}: no data.jsonl, so --size must say how many pixels a side to train at, e.g. 1024")
    texts, notes = captions.metadata(manifest) if manifest else ({}, [])
    left += _unnamed(found, list(texts), manifest) if manifest else []
    headers, unread = _headers(list(texts) if manifest else found.pictures, bool(manifest))
    texts, unused = _captions(list(headers), texts, found, manifest)
    twice = _twice(texts)
    if manifest:  # as it is told: a person may weigh a picture by naming a copy
        notes += [f"{line}; both are taken, as {manifest.name} says" for line in grouped(twice, folder)]
    else:
        left += twice
    left += unread + unused
    gone = set() if manifest else {file for file, _ in twice}
    items = [
        Item(file, bucket(head.height, head.width, side), _numbered(texts[file]), name, background=background)
        for file, head in headers.items()
        if file not in gone
    ]
    return _checked(folder, items, headers, left, notes, bool(manifest))


def _numbered(texts: list[str]) -> dict[str, str]:
    return {f"caption_{i}": t for i, t in enumerate(texts)}


def _unnamed(found: Listing, named: Sequence[Path], manifest: Path) -> Left:
    """The pictures of a folder that its manifest does not name."""
    taken = set(named)
    return [(f, f"{manifest.name} does not name it") for f in found.pictures if f.resolve() not in taken]


def _headers(files: Sequence[Path], named: bool) -> tuple[dict[Path, Header], Left]:
    """The headers of pictures, and those that have none or are too small. named: a manifest names them, so none may fail."""
    headers: dict[Path, Header] = {}
    left: Left = []
    for file in files:
        try:
            head = peek(file)
        except UserError as error:
            if named:
                raise
            left.append((file, _reason(file, error)))
            continue
        if min(head.height, head.width) < MULTIPLE and not named:
            left.append((file, f"too small: {head.width} x {head.height} pixels"))
        else:
            headers[file] = head
    return headers, left


def _reason(file: Path, error: UserError) -> str:
    return str(error).removeprefix(f"{file}: ")


def _captions(files: list[Path], named: Captions, found: Listing, manifest: Path | None) -> tuple[Captions, Left]:
    """The captions of pictures: the manifest's, else those beside them; and the text files that are not taken."""
    if manifest is None:
        return captions.beside(files, found.texts)
    bare = [f for f in files if not named[f]]
    texts, unused = captions.beside(bare, found.texts)
    return named | texts, [(f, f"{manifest.name} gives the captions") for f, _ in unused]


def _twice(texts: Captions) -> Left:
    """Pictures of equal content: of each, the first that has captions is taken. Only files of equal length are read."""
    by_length: dict[int, list[Path]] = {}
    for file in texts:
        by_length.setdefault(file.stat().st_size, []).append(file)
    left: Left = []
    for files in by_length.values():
        by_content: dict[str, list[Path]] = {}
        for file in files if len(files) > 1 else ():
            by_content.setdefault(digest(file), []).append(file)
        for same in by_content.values():
            taken = next((f for f in same if texts[f]), same[0])
            for other in same:
                differs = bool(texts[other]) and texts[other] != texts[taken]
                if other != taken:
                    left.append((other, f"the same picture as {taken.name}" + " (with another caption)" * differs))
    return left


def _checked(
    folder: Path, items: list[Item], headers: dict[Path, Header], left: Left, notes: list[str], named: bool
) -> Pictures:
    """The pictures, some decoded as a check, with all that is to be said of them; UserError where none remains."""
    step = max(1, math.ceil(len(items) / DECODED))
    broken = {}
    for item in progress(items[::step], desc="check pictures", leave=False, shown=len(items) > 8):
        try:
            for file in (item.file, *item.inputs):
                opened(file, item.background)
        except UserError as error:
            if named:
                raise
            broken[item.file] = _reason(item.file, error)
    items, left = [i for i in items if i.file not in broken], sorted(left + list(broken.items()))
    if not items:
        why = "".join(f"; {line}" for line in grouped(left, folder))
        raise UserError(f"{folder}: no pictures; put {', '.join(sorted(SUFFIXES))} files there{why}")
    if step > 1:
        notes = [*notes, f"{len(items[::step])} of {len(items)} decoded as a check, the rest when they are trained on"]
    return Pictures(folder, items, left, notes + _done(items, headers))


def _done(items: list[Item], headers: dict[Path, Header]) -> list[str]:
    """What is done to pictures: backgrounds, colours, frames, crops, enlarging."""
    heads = [headers[i.file] for i in items]
    notes = []
    under = Counter(i.background for i, h in zip(items, heads, strict=True) if h.transparent)
    notes += [f"{n} with transparency: laid on {background}" for background, n in under.items()]
    notes += [f"{n} in {p}: converted to sRGB" for p, n in Counter(h.profile for h in heads if h.profile).items()]
    broken = [i.file.name for i, h in zip(items, heads, strict=True) if h.broken_profile]
    if broken:
        notes.append(f"{len(broken)} with a colour profile that cannot be used, taken as sRGB: {', '.join(broken[:3])}")
    inks = sum(h.mode == "CMYK" and not h.profile for h in heads)
    notes += [f"{inks} in CMYK without a profile: colours may be off"] if inks else []
    several = sum(h.several for h in heads)
    notes += [f"{several} with several frames or pages: the first is taken"] if several else []
    cuts = sorted(
        ((lost(h.height, h.width, i.size), i, h) for i, h in zip(items, heads, strict=True)), key=lambda c: -c[0]
    )
    for share, item, head in [c for c in cuts if c[0] > LOST][:3]:
        size = f"{head.width} x {head.height} to {item.size[1]} x {item.size[0]}"
        notes.append(f"{item.file.name}: {share:.0%} of it is cut off ({size}); crop it by hand to what matters")
    more = sum(c[0] > LOST for c in cuts) - 3
    notes += [f"and {more} more lose over {LOST:.0%}"] if more > 0 else []
    grown = [max(i.size[0] / h.height, i.size[1] / h.width) for i, h in zip(items, heads, strict=True)]
    small = sum(g > ENLARGED for g in grown)
    notes += [f"{small} small: enlarged up to {max(grown):.1f} times"] if small else []
    return notes
