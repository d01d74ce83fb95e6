"""The text of a file: unpacked, and decoded by its byte order mark, as UTF-8, or as its source says."""

from __future__ import annotations

import codecs
import gzip
import io
import mmap
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from windsock.adapters.free_memory import free_memory
from windsock.exceptions import DataRefusedError

MIB = 1024 * 1024
CHUNK = 4 * MIB
SAMPLE = 256 * 1024
SHARE = 4
"""The text of a packed file may take this part of the memory that is free: its columns need the rest."""
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
PACKED = {".gz": b"\x1f\x8b", ".zst": b"\x28\xb5\x2f\xfd", ".zip": b"PK\x03\x04"}
HANGUL = (
    "이다는을의에가고지한하사도기로은시서그자대어리인아들일를해나으수있부전정보요금성별남여예니오본객번호입상"
)
CHINESE = (
    "的一是不了人在有我他这中大来上个国到说们为子和你地出道"
    "也时年得就那要下以生会自着去之过家学对可户号性别男女名"
)
TRADITIONAL = (
    "的一是不了人在有我他這中大來上個國到說們為子和你地出道"
    "也時年得就那要下以生會自著去之過家學對可戶號性別男女名"
)
JAPANESE = "日月年人名男女性別番号客料金円店品数時分中大小本社県市区町"
WESTERN = "äöüßÄÖÜéèêëàâáãåæçñóòôõøúùûíìîïœ"
CENTRAL = "ąćęłńóśźżŁŚŻáčďéěíňřšťúůýžőűäöüßôâîășț"
CYRILLIC = "аеиоунтсрвлкмдпуяыьгзбчйхжшюцщэфъ"
GREEK = "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώ"
SIGNS = "€£§°²³µ·«»–—’“”„…"


def text_of(file: Path, encoding: str | None) -> memoryview:
    """Return a file's text as UTF-8, without a byte order mark.

    :param encoding: as the source names it; ``None``: by its mark, else UTF-8; no other is guessed.
    :raises DataRefusedError: if it is not of that encoding, or cannot be unpacked.
    """
    packed = _unpacked(file)
    mark, known = _mark_of(packed)
    found = known or codecs.lookup(encoding or "utf-8").name
    if found == "utf-8":
        _require_utf8(packed, file, named=encoding is not None)
        return packed[len(mark) :]
    try:
        text = codecs.decode(packed[len(mark) :], found)
    except UnicodeError as error:
        place = getattr(error, "start", 0)
        line = bytes(packed[:place]).count(b"\n") + 1
        raise _not_text(file, packed, f"is not {found} text near line {line:,}") from None
    if "\0" in text:
        raise _not_text(file, packed, f"is not {found} text: it holds null characters")
    return memoryview(text.encode())


def plausible_encodings(file: Path) -> tuple[str, ...]:
    """Return the encodings that a file's text may be in, likeliest first; empty: no text.

    Each decodes its beginning into letters of the script that it is for; the commoner, the likelier.
    """
    packed = _unpacked(file)
    _, known = _mark_of(packed)
    if known:
        return (known,)
    return _plausible(_whole_lines(packed))


def _whole_lines(content: memoryview) -> bytes:
    start = bytes(content[:SAMPLE])
    return start if len(content) <= SAMPLE else start[: start.rfind(b"\n") + 1] or start


def _plausible(start: bytes) -> tuple[str, ...]:
    if start.count(0) > len(start) // 8:
        even, odd = start[::2].count(0), start[1::2].count(0)
        return ("utf-16-le" if odd > even else "utf-16-be",)
    if b"\0" in start:
        return ()
    try:
        start.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        return ("utf-8",)
    found = []
    for place, (encoding, script, common) in enumerate(SCRIPTS):
        try:
            text = start.decode(encoding)
        except UnicodeDecodeError:
            continue
        letters = [sign for sign in text if ord(sign) > 127]
        fitting = sum(script(sign) or sign in SIGNS for sign in letters)
        controls = any(unicodedata.category(sign) in ("Cc", "Co", "Cn") for sign in letters)
        if not controls and fitting >= 0.9 * len(letters):
            often = sum(sign in common or _is_kana(sign) for sign in letters) / len(letters)
            found.append((-often, place, encoding))
    return tuple(encoding for *_, encoding in sorted(found))


def _is_kana(sign: str) -> bool:
    return "぀" <= sign <= "ヿ"


def _is_hangul(sign: str) -> bool:
    return "가" <= sign <= "힣"


def _is_han(sign: str) -> bool:
    return "一" <= sign <= "鿿" or sign in "，。、：（）"


def _is_japanese(sign: str) -> bool:
    return _is_kana(sign) or _is_han(sign) or sign in "ー々"


def _is_latin(sign: str) -> bool:
    return sign.isalpha() and "LATIN" in unicodedata.name(sign, "")


def _is_western(sign: str) -> bool:
    return _is_latin(sign)


def _is_cyrillic(sign: str) -> bool:
    return "А" <= sign <= "я" or sign in "ёЁ№"


def _is_greek(sign: str) -> bool:
    return "Ά" <= sign <= "ώ"


SCRIPTS = (
    ("cp949", _is_hangul, HANGUL),
    ("cp932", _is_japanese, JAPANESE),
    ("euc_jp", _is_japanese, JAPANESE),
    ("gb18030", _is_han, CHINESE),
    ("big5", _is_han, TRADITIONAL),
    ("cp1252", _is_western, WESTERN),
    ("cp1250", _is_latin, CENTRAL),
    ("cp1251", _is_cyrillic, CYRILLIC),
    ("koi8_r", _is_cyrillic, CYRILLIC),
    ("cp1253", _is_greek, GREEK),
    ("cp1254", _is_latin, WESTERN + "ğışĞİŞ"),
)
"""Encoding, whether a sign is of the script that it is for, and the commonest of its letters."""


def _mark_of(content: memoryview) -> tuple[bytes, str | None]:
    start = bytes(content[:4])
    return next(((mark, name) for mark, name in MARKS if start.startswith(mark)), (b"", None))


def _unpacked(file: Path) -> memoryview:
    with file.open("rb") as stream:
        start = stream.read(4)
        kind = next((ending for ending, magic in PACKED.items() if start.startswith(magic)), None)
        stream.seek(0)
        if kind is None:
            mapped = b"" if not start else mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            return memoryview(mapped)
        try:
            text = bytearray()
            for piece in _limited(_pieces(stream, kind, file), file):
                text += piece
            return memoryview(text)
        except (zlib.error, EOFError, zipfile.BadZipFile, OSError, RuntimeError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise DataRefusedError(
                f"{file} is no whole {kind[1:]} file ({type(error).__name__})",
                code="WS-DATA-032",
                next_action="Write it again; it may have been copied before it was complete.",
            ) from None


def _pieces(stream: io.BufferedReader, kind: str, file: Path) -> Iterator[bytes]:
    import pyarrow as pa

    if kind == ".zip":
        with zipfile.ZipFile(stream) as packed:
            inside = [entry for entry in packed.infolist() if not entry.is_dir() and not _is_of_mac(entry)]
            if len(inside) != 1:
                raise DataRefusedError(
                    f"{file} holds {len(inside):,} files; one is needed",
                    code="WS-DATA-032",
                    next_action="Pack one file, or name an unpacked one in `data.source`.",
                )
            with packed.open(inside[0]) as one:
                while piece := one.read(CHUNK):
                    yield piece
        return
    reader = gzip.GzipFile(fileobj=stream) if kind == ".gz" else pa.CompressedInputStream(stream, "zstd")
    with reader:
        while piece := reader.read(CHUNK):
            yield piece


def _is_of_mac(entry: zipfile.ZipInfo) -> bool:
    """Return whether a Mac put a file beside the one that was packed: its icon, or where its window stood."""
    name = entry.filename.rpartition("/")[2]
    return entry.filename.startswith("__MACOSX/") or name == ".DS_Store" or name.startswith("._")


def _limited(pieces: Iterator[bytes], file: Path) -> Iterator[bytes]:
    total, free = 0, free_memory()
    for piece in pieces:
        total += len(piece)
        if total > free // SHARE:
            raise DataRefusedError(
                f"{file} holds more than {free // SHARE // MIB:,} MiB of text; {free // MIB:,} MiB of memory "
                f"are free, of which the text of a packed file may take 1 part in {SHARE}",
                code="WS-DATA-032",
                next_action="Read fewer rows, give the process that reads it more memory, or unpack it.",
            )
        yield piece


def _require_utf8(content: memoryview, file: Path, *, named: bool) -> None:
    decoder, lines = codecs.getincrementaldecoder("utf-8")(), 0
    for start in range(0, len(content), CHUNK):
        chunk = bytes(content[start : start + CHUNK])
        if not chunk.isascii() or b"\0" in chunk or decoder.getstate()[0]:
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                line = lines + chunk[: max(0, error.start)].count(b"\n") + 1
                raise _not_text(file, content, f"is not UTF-8 text near line {line:,}", named=named) from None
            if b"\0" in chunk:
                line = lines + chunk[: chunk.index(0)].count(b"\n") + 1
                raise _not_text(file, content, f"is not UTF-8 text near line {line:,}", named=named)
        lines += chunk.count(b"\n")
    if decoder.getstate()[0]:
        raise _not_text(file, content, "is not UTF-8 text at its end", named=named)


def _not_text(file: Path, content: memoryview, what: str, *, named: bool = True) -> DataRefusedError:
    others = [one for one in _plausible(_whole_lines(content)) if one != "utf-8"]
    guess = f"; its letters would make sense as {', '.join(others)}" if others else ""
    return DataRefusedError(
        f"{file} {what}{guess}",
        code="WS-DATA-014",
        next_action=f"Write `encoding: {others[0] if others else 'NAME'}` in `data.source` once you know it, "
        "or write the file as UTF-8.",
    )
