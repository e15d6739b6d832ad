"""The text the demo model is trained on: Jane Austen's six novels, in the public domain.

They come from the Debian package `r-cran-janeaustenr`, which carries Project Gutenberg's
transcriptions as R data. The package's code is MIT; nothing of it is used here but the novels.
"""

import hashlib
import re
import struct
import subprocess
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import rdata

PACKAGE = "r-cran-janeaustenr"
DATABASE = "usr/lib/R/site-library/janeaustenr/data/Rdata"

# Of the chapters as cleaned below, in order. Another text would give another model.
EXPECTED_SHA256 = "3af0452d02ae454a510fb9c10f1e11f65f597e67a84400c5dbef5b68013303cb"

HELD_OUT_EVERY = 24
"""One chapter in this many is never trained on."""

HEADING = re.compile(r"^(chapter|volume) [0-9ivxlc]+\.?$", re.IGNORECASE)
EDITORS_NOTE = "A NOTE ON THE TEXT"
CLOSING = re.compile(r"^(finis|the end)\.?$", re.IGNORECASE)


@dataclass(frozen=True)
class Corpus:
    """Chapters, one string each: one paragraph a line, no heading."""

    train: list[str]
    held_out: list[str]


def load(cache: Path) -> Corpus:
    """Fetches the package into `cache` if it is not there, and splits the chapters."""
    chapters = [
        chapter
        for _, lines in sorted(read_novels(unpack_package(cache)).items())
        for chapter in split_chapters(lines)
    ]
    digest = hashlib.sha256("\f".join(chapters).encode()).hexdigest()
    if digest != EXPECTED_SHA256:
        raise SystemExit(f"{PACKAGE}: text has sha256 {digest}, expected {EXPECTED_SHA256}")
    held_out = chapters[HELD_OUT_EVERY // 2 :: HELD_OUT_EVERY]
    return Corpus([chapter for chapter in chapters if chapter not in held_out], held_out)


def unpack_package(cache: Path) -> Path:
    """Returns the folder the Debian package is unpacked in."""
    cache.mkdir(parents=True, exist_ok=True)
    if not list(cache.glob(f"{PACKAGE}_*.deb")):
        subprocess.run(["apt-get", "download", PACKAGE], cwd=cache, check=True)
    [package] = cache.glob(f"{PACKAGE}_*.deb")
    subprocess.run(["dpkg-deb", "--extract", package, cache / "unpacked"], check=True)
    return cache / "unpacked"


def read_novels(root: Path) -> dict[str, list[str]]:
    """Lines of each novel, from R's lazy-load database.

    The index is a compressed R object that gives offset and length of every variable; a
    variable is its unpacked size (4 bytes, big-endian) and a zlib stream.
    """
    database = (root / DATABASE).with_suffix(".rdb").read_bytes()
    index = parse_r_object((root / DATABASE).with_suffix(".rdx").read_bytes())
    novels = {}
    for name, (offset, length) in index["variables"].items():
        record = database[int(offset) : int(offset) + int(length)]
        body = zlib.decompress(record[4:])
        assert struct.unpack(">I", record[:4]) == (len(body),), name
        novels[str(name)] = [str(line) for line in parse_r_object(body)]
    return novels


def parse_r_object(data: bytes):
    with warnings.catch_warnings():
        # rdata says aloud that it guesses the serialization format, which it does rightly.
        warnings.simplefilter("ignore")
        return rdata.conversion.convert(rdata.parser.parse_data(data))


def split_chapters(lines: list[str]) -> list[str]:
    """Chapters of one novel. Title pages, headings and a modern editor's note are left out."""
    chapters: list[list[str]] = []
    paragraph: list[str] = []

    def end_paragraph() -> None:
        if paragraph and chapters:
            chapters[-1].append(clean(" ".join(paragraph)))
        paragraph.clear()

    for line in map(str.strip, lines):
        if line == EDITORS_NOTE:
            break
        if HEADING.match(line):
            end_paragraph()
            chapters.append([])
        elif not line or CLOSING.match(line):
            end_paragraph()
        else:
            paragraph.append(line)
    end_paragraph()
    return ["\n".join(chapter) + "\n" for chapter in chapters if chapter]


def clean(paragraph: str) -> str:
    """Undoes what plain-text transcription added: marks of italics and doubled spaces."""
    return re.sub(r"\s+", " ", paragraph.replace("_", ""))
