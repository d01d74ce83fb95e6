from __future__ import annotations

import json
import os
import time

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from windsock.exceptions import SpecError
from windsock.spec import yaml_reader
from windsock.spec.yaml_reader import MAX_BYTES, MAX_DEPTH, MAX_NODES, parse_yaml, read_yaml


def read(text):
    return parse_yaml(text if isinstance(text, bytes) else text.encode(), "model.yaml")


def refused(text):
    with pytest.raises(SpecError) as caught:
        read(text)
    assert caught.value.file == "model.yaml"
    return caught.value


def error_of(content):
    """Return the error of a file, or ``None`` if it is read."""
    try:
        parse_yaml(content, "model.yaml")
    except SpecError as error:
        return error
    return None


@pytest.fixture(params=["C", "Python"])
def parser(request, monkeypatch):
    """Both parsers of PyYAML: wheels without libyaml exist."""
    if request.param == "C" and not yaml.__with_libyaml__:
        pytest.skip("this PyYAML has no C parser")
    monkeypatch.setattr(yaml_reader, "LOADER", yaml.CSafeLoader if request.param == "C" else yaml.SafeLoader)
    return request.param


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("Off", "Off"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("5", 5),
        ("-5", -5),
        ("+5", 5),
        ("0", 0),
        ("010", "010"),
        ("007.5", "007.5"),
        ("0x1F", "0x1F"),
        ("0o17", "0o17"),
        ("1_000", "1_000"),
        ("12:30:00", "12:30:00"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("1e5", 1e5),
        ("1E-3", 1e-3),
        ("1.5", 1.5),
        (".5", 0.5),
        ("5.", 5.0),
        (".inf", float("inf")),
        ("-.INF", float("-inf")),
        ("1e400", float("inf")),
        ("1.2.3", "1.2.3"),
        ("0 2 * * *", "0 2 * * *"),
        ("'5'", "5"),
        ('"null"', "null"),
        ("'#ml'", "#ml"),
        ("nan", "nan"),
        ("٣", "٣"),
        ("9" * 41, float("9" * 41)),
    ],
)
def test_plain_words_mean_what_people_mean(parser, word, value):
    found = read(f"key: {word}").value["key"]
    assert (found, type(found)) == (value, type(value))


def test_not_a_number_is_read_as_such():
    assert str(read("key: .nan").value["key"]) == "nan"


def test_lists_and_blocks_nest_and_know_their_places(parser):
    document = read("a: 1\n\nb:\n  - x\n  - c: 2\n    d: {e: f}\n")
    assert document.value == {"a": 1, "b": ["x", {"c": 2, "d": {"e": "f"}}]}
    assert document.positions == {
        (): (1, 1),
        ("a",): (1, 1),
        ("b",): (3, 1),
        ("b", 0): (4, 5),
        ("b", 1): (5, 5),
        ("b", 1, "c"): (5, 5),
        ("b", 1, "d"): (6, 5),
        ("b", 1, "d", "e"): (6, 9),
    }


def test_a_key_that_is_not_there_has_its_parent_s_line():
    document = read("a: 1\nb:\n  c: 2\n")
    assert document.line(("b", "nothing", 3)) == 2
    assert read("").line(("a",)) is None


@pytest.mark.parametrize("text", ["", "# only a comment", "---", "\ufeff", "\n\n"])
def test_a_file_without_content_is_null(parser, text):
    assert read(text).value is None


def test_a_byte_order_mark_and_all_line_ends_are_fine(parser):
    assert read("\ufeffa: 1\r\nb: 2\rc: 3\n").value == {"a": 1, "b": 2, "c": 3}


@pytest.mark.parametrize(
    ("text", "line", "key", "says", "cure"),
    [
        ("a: 1\nb: 2\na: 3", 3, "a", "the same key twice (first in line 1)", "keep one"),
        ("x:\n  a: 1\n  a: 2", 3, "x.a", "the same key twice (first in line 2)", "keep one"),
        ("a: {b: 1, b: 2}", 1, "a.b", "the same key twice", "keep one"),
        ("a: &x 1", 1, "a", "an anchor", "remove it"),
        ("a: [1, &x 2]", 1, "a[1]", "an anchor", "remove it"),
        ("a: *x", 1, "a", "an alias", "write the value out"),
        ("<<: {a: 1}", 1, None, "a merge key", "write the keys out"),
        ("a:\n  <<: {a: 1}", 2, "a", "a merge key", "write the keys out"),
        ("a: !!python/name:os.system x", 1, "a", "a tag", "remove it"),
        ("a: !!str 5", 1, "a", "a tag", "remove it"),
        ("a: ! 5", 1, "a", "a tag", "remove it"),
        ("!!map {a: 1}", 1, None, "a tag", "remove it"),
        ("a: 1\n---\nb: 2", 2, None, "a second document", "keep one document"),
        ("%TAG !e! tag:x,2000:\n---\na: 1", 1, None, "a %TAG directive", "remove it"),
        ("a: 1\n2024: x", 2, None, "number 2024 as a key", 'quote it: "2024"'),
        ("true: x", 1, None, "true/false value true as a key", 'quote it: "true"'),
        ("? \n: 1", 1, None, "nothing (null) as a key", "write a word"),
        ("? [a]\n: 1", 1, None, "a list or a block as a key", "write a word"),
        (
            "a:\n  b: #ml-alerts",
            2,
            "a.b",
            "a comment without a space",
            'quote a text that begins with #: "#name"',
        ),
        ("a:\n  - #ml", 2, "a[0]", "a comment without a space", "quote"),
        ('a: "x\\0y"', 1, "a", "a control character", "remove"),
    ],
)
def test_what_could_surprise_is_refused(parser, text, line, key, says, cure):
    error = refused(text)
    assert (error.line, error.key, error.code) == (line, key, "WS-SPEC-004")
    assert says in error.message
    assert f"; cure: {cure}" in error.message


def test_a_comment_after_nothing_is_a_comment(parser):
    assert read("a:   # nothing yet\nb: x #no\nc: |\n  t\n  #in the text\nd: #\ne:  ##\n").value == {
        "a": None,
        "b": "x",
        "c": "t\n#in the text\n",
        "d": None,
        "e": None,
    }


@pytest.mark.parametrize(
    ("text", "line", "cure"),
    [
        ("a: 1\nschedule: */5 * * * *", 2, "quote a text that begins with *"),
        ("a: & b", 1, "quote a text that begins with &"),
        ("a: @home", 1, "quote the text if it begins with @"),
        ("a:\n\tb: 1", 2, "indent with spaces"),
        ("a: b: c", 1, "quote the text if it holds ': '"),
        ("a: 'x", 1, "close the quotation mark"),
        ("a: [1, 2", 1, "close the bracket"),
        ("a: {b: 1", 1, "close the bracket"),
        ("a: 1\n b: 2", 2, "indent the keys of a block alike"),
        ("a:\n  b: 1\n c: 2", 3, "indent the keys of a block alike"),
    ],
)
def test_bad_syntax_has_its_line_and_a_cure(text, line, cure):
    error = refused(text)
    assert error.code == "WS-SPEC-004"
    assert error.line in (line, line + 1)
    assert "this is no YAML: " in error.message
    assert cure in error.message


def test_other_encodings_are_refused_with_their_line():
    error = refused(b"a: 1\nb: \xff")
    assert (error.line, error.code) == (2, "WS-SPEC-004")
    assert "byte 9 is not UTF-8" in error.message
    assert "UTF-8" in refused("a: 1".encode("utf-16")).message


@pytest.mark.parametrize("letter", ["\0", "\x07", "\x1b", "\x7f", "\ufffe"])
def test_control_characters_are_refused_with_their_line(letter):
    error = refused(f"a: 1\r\nb: x{letter}")
    assert (error.line, error.code) == (2, "WS-SPEC-004")
    assert f"U+{ord(letter):04X}" in error.message


def test_the_largest_file_is_read_and_one_byte_more_is_not():
    body = "a: 1\n#" + "x" * (MAX_BYTES - 6)
    assert read(body).value == {"a": 1}
    error = refused(body + "x")
    assert error.code == "WS-SPEC-005"
    assert "262,144 bytes" in error.message


def test_the_deepest_file_is_read_and_one_level_more_is_not(parser):
    def nested(levels):
        return "[" * levels + "]" * levels

    assert read(nested(MAX_DEPTH)).value is not None
    assert f"more than {MAX_DEPTH} deep" in refused(nested(MAX_DEPTH + 2)).message


def test_the_most_values_are_read_and_one_more_is_not():
    assert len(read("- 1\n" * (MAX_NODES - 1)).value) == MAX_NODES - 1
    error = refused("- 1\n" * MAX_NODES)
    assert error.line == MAX_NODES
    assert "5,000 values" in error.message


LAUGHS = "a: &a [x, x, x]\n" + "".join(
    f"{here}: &{here} [{', '.join([f'*{there}'] * 9)}]\n"
    for there, here in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "bomb",
    [
        LAUGHS,
        "&a [*a]",
        "[" * 200_000,
        "[\n" * 100_000,
        "{" * 200_000,
        "{a: " * 60_000,
        "- " * 130_000,
        "? " * 130_000,
        "a: " + "9" * 200_000,
        "a: " + "1" * 100_000 + "." + "1" * 100_000 + "e5",
        "'" * 200_001,
        '"\\x' * 60_000,
        "a" * 200_000 + ": 1",
        "".join(f"k{number}: 1\n" for number in range(20_000)),
        "a: >\n" + " x\n\n" * 50_000,
        "#\n" * 130_000,
        "!" * 200_000,
        "%" * 200_000,
        ": " * 130_000,
        "---\n" * 60_000,
    ],
    ids=lambda bomb: bomb[:12],
)
def test_a_bomb_ends_quickly_in_a_value_or_a_clear_error(parser, bomb):
    begun = time.process_time()
    error = error_of(bomb.encode())
    assert error is None or len(error.message) < 500
    assert time.process_time() - begun < 3


def test_a_missing_file_a_folder_and_a_pipe_are_clear_errors(tmp_path):
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    for name, says in [
        ("no.yaml", "No such file"),
        ("folder.yaml", "no plain file"),
        ("pipe.yaml", "no plain file"),
    ]:
        with pytest.raises(SpecError, match=says) as caught:
            read_yaml(tmp_path / name)
        assert (caught.value.file, caught.value.code) == (str(tmp_path / name), "WS-SPEC-005")


def test_a_name_that_no_file_can_have_is_a_clear_error():
    with pytest.raises(SpecError, match="cannot be read"):
        read_yaml("a\0b")


@given(st.binary(max_size=400))
@example(b"\xef\xbb\xbf")
@example(b"a: \xc2\x85b")
@settings(max_examples=400, deadline=None)
def test_any_bytes_give_a_document_or_a_spec_error(content):
    error = error_of(content)
    assert error is None or "model.yaml" in error.message


YAML_LETTERS = st.text(alphabet="ab01.:-?#&*!|>'\"%@`{}[], \n\t~<=_\\é\u2028", max_size=80)


@given(YAML_LETTERS)
@settings(max_examples=600, deadline=None)
def test_text_that_looks_like_yaml_gives_a_document_or_a_spec_error(text):
    error = error_of(text.encode())
    lines = text.count("\n") + text.count("\u2028") + 2
    assert error is None or error.line is None or 1 <= error.line <= lines


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(
        st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\ufeff"), max_size=20
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(categories=["L", "Nd"]), max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(VALUES)
@settings(max_examples=300, deadline=None)
def test_json_reads_back_as_it_was_written(value):
    found = read(json.dumps(value, ensure_ascii=False)).value
    assert found == value
    assert json.dumps(found) == json.dumps(value)


@given(VALUES)
@settings(max_examples=200, deadline=None)
def test_every_value_has_a_position(value):
    document = read(json.dumps(value, ensure_ascii=False))

    def paths(part, path):
        yield path
        items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        for key, inner in items:
            yield from paths(inner, (*path, key))

    assert set(document.positions) == set(paths(document.value, ()))
