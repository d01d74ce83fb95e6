from __future__ import annotations

import os
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windsock.adapters import csv_encoding, csv_source, source_limits
from windsock.adapters.csv_source import read_csv
from windsock.adapters.sources import SourceReaders
from windsock.exceptions import DataRefusedError, NotBuiltError, SourceUnavailableError, SpecError
from windsock.spec import ApiSource, ExtensionSource, FeatureStoreSource, FileSource


def no_connections(conn_id: str) -> str:
    raise AssertionError(conn_id)


@pytest.fixture
def readers(tmp_path):
    roots = (tmp_path / "project", tmp_path / "models")
    for root in roots:
        root.mkdir()
    return SourceReaders(roots, no_connections)


@pytest.fixture
def read(tmp_path):
    """Return what reads a CSV file of this content."""
    file = tmp_path / "rows.csv"

    def reading(content: bytes | str) -> pd.DataFrame:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_csv(file).frame

    return reading


def refusal(call, *args) -> DataRefusedError:
    with pytest.raises(DataRefusedError) as caught:
        call(*args)
    return caught.value


class TestCsv:
    def test_everything_is_text_and_blanks_stay(self, read):
        frame = read("a,b,c\n1,NA,007\n,null, x \n")
        assert frame.to_dict("list") == {"a": ["1", ""], "b": ["NA", "null"], "c": ["007", " x "]}

    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_the_delimiter_is_found(self, read, delimiter):
        text = '"name, x";b|c\n1,5;x\n2,5;y\n'.replace("|", "").replace(";", delimiter)
        if delimiter == ",":
            text = "a,b\n1;5,x\n2;5,y\n"
        frame = read(text)
        assert frame.shape == (2, 2)

    @pytest.mark.parametrize(
        "content",
        [
            b"\xef\xbb\xbfa,b\n1,2\n3,4\n",
            b"a,b\r\n1,2\r\n3,4\r\n",
            b"\n\na,b\n1,2\n\n3,4\n\n",
            b'"a","b"\n"1","2"\n"3","4"',
            b" a ,b\t\n1,2\n3,4\n",
        ],
    )
    def test_usual_forms(self, read, content):
        assert read(content).to_dict("list") == {"a": ["1", "3"], "b": ["2", "4"]}

    def test_quotes_hold_delimiters_newlines_and_quotes(self, read):
        frame = read('a,b\n"x,1","say ""yes"""\n"two\nlines",3\n')
        assert frame.to_dict("list") == {"a": ["x,1", "two\nlines"], "b": ['say "yes"', "3"]}

    def test_a_column_without_a_name_gets_one(self, read):
        assert list(read(",b\n0,x\n1,y\n").columns) == ["column_1", "b"]

    @pytest.mark.parametrize(
        ("content", "row", "fields"),
        [
            ("a,b\n1,2\n1,2,3\n4,5\n", 3, 3),
            ("a,b,c\n1,2,3\n1,2\n", 3, 2),
            ("a,b\n" + "1,2\n" * 5000 + "secret-value\n", 5002, 1),
        ],
    )
    def test_ragged_rows_are_named_by_number_and_never_shown(self, read, content, row, fields):
        error = refusal(read, content)
        assert error.code == "WS-DATA-013"
        assert f"row {row:,} " in str(error)
        assert f"has {fields} fields" in str(error)
        assert "secret-value" not in str(error)
        assert error.__cause__ is None
        assert error.__suppress_context__

    @pytest.mark.parametrize("content", [b"", b"\n\n \n", b"\xef\xbb\xbf"])
    def test_an_empty_file(self, read, content):
        assert refusal(read, content).code == "WS-DATA-011"

    @pytest.mark.parametrize("content", ["a,b\n", "a,b", "a,b\n\n\n", '"a","b"'])
    def test_a_header_without_rows(self, read, content):
        error = refusal(read, content)
        assert error.code == "WS-DATA-011"
        assert "no rows" in str(error)

    def test_duplicate_names_are_named(self, read):
        error = refusal(read, "a,b,a ,c,c\n1,2,3,4,5\n")
        assert error.code == "WS-DATA-012"
        assert "'a' (columns 1 and 3), 'c' (columns 4 and 5)" in str(error)

    def test_a_first_row_of_numbers_is_no_header(self, read):
        assert refusal(read, "1,2\n3,4\n").code == "WS-DATA-013"

    @pytest.mark.parametrize(
        ("content", "where"),
        [
            ("a,b\n1,2\nü,2\n".encode("latin1"), "near line 3"),
            (b"a,b\n1,\0\n", "near line 2"),
            (b"a,b\n1,\xc3", "at its end"),
        ],
    )
    def test_other_encodings_are_said(self, read, content, where):
        error = refusal(read, content)
        assert error.code == "WS-DATA-014"
        assert where in str(error)

    def test_a_letter_cut_by_a_chunk_is_whole(self, read, monkeypatch):
        monkeypatch.setattr(csv_encoding, "CHUNK", 5)
        assert read("a,bü\nü,éé\n")["bü"].tolist() == ["éé"]

    def test_open_quotes(self, read):
        error = refusal(read, 'a,b\n"x",1\n"secret-value,2\n3,4\n')
        assert error.code == "WS-DATA-033"
        assert "line 3" in str(error)
        assert "secret-value" not in str(error)

    @pytest.mark.parametrize(
        ("content", "lines"),
        [
            ("a,b\n1,2\n\n\n3,4\n\n", 2),
            ("a,b\r1,2\r3,4\r", 2),
            ('a,b\n"1\n\n\n2",3\n4,5', 2),
            ("a\n1\n\n2\n", 2),
        ],
    )
    def test_rows_are_held_against_lines(self, tmp_path, content, lines):
        file = tmp_path / "rows.csv"
        file.write_text(content)
        read = read_csv(file)
        assert (len(read.frame), read.lines) == (lines, lines)

    def test_packed_files(self, readers, tmp_path):
        import gzip
        import zipfile

        import pyarrow as pa

        folder, text = tmp_path / "project", b"a,b\n1,2\n3,4\n"
        (folder / "x.csv.gz").write_bytes(gzip.compress(text))
        with zipfile.ZipFile(folder / "x.zip", "w") as packed:
            packed.writestr("inside.csv", text)
        with pa.CompressedOutputStream(str(folder / "x.tsv.zst"), "zstd") as stream:
            stream.write(text)
        for name in ("x.csv.gz", "x.zip", "x.tsv.zst"):
            assert readers.read(FileSource(path=name)).frame["b"].tolist() == ["2", "4"]
        (folder / "cut.csv.gz").write_bytes(gzip.compress(text * 99)[:40])
        assert refusal(readers.read, FileSource(path="cut.csv.gz")).code == "WS-DATA-032"
        with zipfile.ZipFile(folder / "x.zip", "a") as packed:
            packed.writestr("second.csv", text)
        assert "2 files" in str(refusal(readers.read, FileSource(path="x.zip")))

    def test_keys_of_text_for_parquet_are_refused(self, readers, tmp_path):
        pd.DataFrame({"x": [1, 2]}).to_parquet(tmp_path / "project" / "x.parquet")
        error = refusal(readers.read, FileSource(path="x.parquet", encoding="cp949"))
        assert error.code == "WS-DATA-035"

    @pytest.mark.parametrize(
        ("content", "keys", "form"),
        [
            ("a;b\n1,5;x\n", {}, {"decimal": ","}),
            ("a;b\n1,137;x\n", {}, {"decimal": ","}),
            ("a;b;c\n1,5;0.25;x\n", {}, {"either": True}),
            ("a;b\n1,537;08.30\n", {}, {"decimal": ","}),
            ("a;b\n1,537;v1.5\n", {}, {"decimal": ","}),
            ("a;b\n1,537;KW 12.26\n", {}, {"decimal": ","}),
            ("a;b\n1,537;9.30\n2,125;14.45\n", {}, None),
            ("a;b\n1,537;8.1\n", {}, None),
            ("a;b\n1,537,200;x\n", {}, {"decimal": "."}),
            ("a;b\n7.957;31.12.2026\n536;30.12.2026\n", {}, {"either": True}),
            ("a;b\n7.957;0.5\n", {}, {"decimal": "."}),
            ("a;b\n10.1.2.3;1,537\n", {}, {"decimal": ","}),
            ('a,b\n"1,137",x\n', {}, None),
            ('a,b\n"1,137",0.5\n', {}, {"decimal": "."}),
            ("a,b\n1,x\n", {"nulls": ["n/k"]}, {"nulls": ("n/k",)}),
            ("a,b\n1.5,x\n", {"decimal": ",", "dates": "day_first"}, {"decimal": ",", "dates": "day_first"}),
        ],
    )
    def test_the_form_that_a_file_shows_or_its_keys_say(self, readers, tmp_path, content, keys, form):
        (tmp_path / "project" / "x.csv").write_text(content)
        found = readers.read(FileSource(path="x.csv", **keys)).form
        assert (found and found.model_dump(exclude_unset=True, exclude={"by_values"})) == form
        assert (found and found.by_values) == (form and "decimal" in form and "decimal" not in keys)

    def test_too_many_columns(self, read, monkeypatch):
        monkeypatch.setattr(source_limits, "MAX_COLUMNS", 3)
        error = refusal(read, "a,b,c,d\n1,2,3,4\n")
        assert error.code == "WS-DATA-015"
        assert "4 columns; the limit is 3" in str(error)

    def test_too_many_rows(self, read, monkeypatch):
        monkeypatch.setattr(source_limits, "MAX_ROWS", 3)
        monkeypatch.setattr(csv_source, "MAX_ROWS", 3)
        assert refusal(read, "a,b\n" + "1,2\n" * 9).code == "WS-DATA-015"
        assert refusal(read, "a,b\n" + "1,2\n" * 4).code == "WS-DATA-015"
        assert len(read("a,b\n" + "1,2\n" * 3)) == 3

    @settings(max_examples=150, deadline=None)
    @given(st.binary(max_size=200))
    def test_any_bytes_give_rows_or_a_refusal(self, tmp_path_factory, content):
        file = tmp_path_factory.mktemp("csv") / "rows.csv"
        file.write_bytes(content)
        try:
            frame = read_csv(file).frame
        except DataRefusedError:
            return
        assert len(frame) > 0

    cells = st.text(
        st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=("Cs",)), max_size=6
    )

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=8))
    def test_what_a_csv_writer_wrote_is_read_back(self, tmp_path_factory, rows):
        import csv

        file = tmp_path_factory.mktemp("csv") / "rows.csv"
        with file.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([("a", "b", "c"), *rows])
        assert [tuple(row) for row in read_csv(file).frame.to_numpy().tolist()] == rows


class TestFiles:
    def test_the_first_root_that_has_it(self, readers, tmp_path):
        (tmp_path / "models" / "x.csv").write_text("a,b\n1,2\n")
        assert readers.read(FileSource(path="x.csv")).frame["a"].tolist() == ["1"]
        (tmp_path / "project" / "x.csv").write_text("a,b\n9,2\n")
        read = readers.read(FileSource(path="x.csv"))
        assert read.frame["a"].tolist() == ["9"]
        assert read.described == "file: x.csv"

    def test_absolute_and_upward_paths(self, readers, tmp_path):
        (tmp_path / "x.csv").write_text("a,b\n1,2\n")
        for path in (str(tmp_path / "x.csv"), "../x.csv"):
            assert len(readers.read(FileSource(path=path)).frame) == 1

    def test_a_missing_file_says_where_it_was_looked_for(self, readers, tmp_path):
        error = refusal(readers.read, FileSource(path="no.csv"))
        assert error.code == "WS-DATA-010"
        for root in ("project", "models"):
            assert str(tmp_path / root / "no.csv") in str(error)

    def test_a_folder_and_a_url(self, readers, tmp_path):
        (tmp_path / "project" / "folder").mkdir()
        assert "is a folder" in str(refusal(readers.read, FileSource(path="folder")))
        assert "is a URL" in str(refusal(readers.read, FileSource(path="s3://bucket/x.csv")))

    def test_an_unknown_ending_needs_a_format(self, readers, tmp_path):
        (tmp_path / "project" / "x.data").write_text("a,b\n1,2\n")
        assert refusal(readers.read, FileSource(path="x.data")).code == "WS-DATA-016"
        assert len(readers.read(FileSource(path="x.data", format="csv")).frame) == 1

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_a_file_that_may_not_be_read(self, readers, tmp_path):
        file = tmp_path / "project" / "x.csv"
        file.write_text("a,b\n1,2\n")
        file.chmod(0)
        with pytest.raises(SourceUnavailableError, match="WS-DATA-002"):
            readers.read(FileSource(path="x.csv"))

    def test_a_disk_that_fails_is_worth_a_retry(self, readers, tmp_path, monkeypatch):
        (tmp_path / "project" / "x.csv").write_text("a,b\n1,2\n")

        def failing(file, source):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr("windsock.adapters.sources.read_csv", failing)
        with pytest.raises(SourceUnavailableError, match="Input/output error"):
            readers.read(FileSource(path="x.csv"))


class TestParquet:
    def put(self, tmp_path, table) -> FileSource:
        from pyarrow import parquet

        parquet.write_table(table, tmp_path / "project" / "x.parquet")
        return FileSource(path="x.parquet")

    def test_types_come_as_they_are(self, readers, tmp_path):
        import pyarrow as pa

        table = pa.table(
            {"n": [1, None, 2**60], "x": [0.5, None, 1.5], "b": [True, None, False], "t": ["a", None, "c"]}
        )
        read = readers.read(self.put(tmp_path, table))
        assert str(read.frame["n"].dtype) == "Int64"
        assert read.frame["n"].iloc[2] == 2**60
        assert str(read.frame["b"].dtype) == "boolean"

    def test_an_index_of_pandas_is_a_column(self, readers, tmp_path):
        frame = pd.DataFrame({"x": [1, 2]}, index=pd.Index(["a", "b"], name="key"))
        frame.to_parquet(tmp_path / "project" / "x.parquet")
        assert set(readers.read(FileSource(path="x.parquet")).frame.columns) == {"x", "key"}

    def test_no_rows_and_duplicate_names(self, readers, tmp_path):
        import pyarrow as pa

        source = self.put(tmp_path, pa.table({"a": pa.array([], pa.int64())}))
        assert refusal(readers.read, source).code == "WS-DATA-011"
        source = self.put(tmp_path, pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]))
        assert refusal(readers.read, source).code == "WS-DATA-012"

    def test_limits_are_seen_before_reading(self, readers, tmp_path, monkeypatch):
        import pyarrow as pa

        monkeypatch.setattr(source_limits, "MAX_ROWS", 3)
        assert refusal(readers.read, self.put(tmp_path, pa.table({"a": range(4)}))).code == "WS-DATA-015"

    @pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"PAR1" + b"x" * 100 + b"PAR1"])
    def test_what_is_no_parquet(self, readers, tmp_path, content):
        (tmp_path / "project" / "x.parquet").write_bytes(content)
        assert refusal(readers.read, FileSource(path="x.parquet")).code == "WS-DATA-016"


class TestOtherKinds:
    @pytest.mark.parametrize(
        ("source", "kind"),
        [(ApiSource(url="https://x/y"), "api"), (FeatureStoreSource(view="v"), "feature_store")],
    )
    def test_what_is_not_built_names_what_is(self, readers, source, kind):
        with pytest.raises(NotBuiltError) as caught:
            readers.read(source)
        assert kind in str(caught.value)
        assert "file, sql" in str(caught.value)

    def test_an_installed_package_adds_a_kind(self, readers, monkeypatch):
        offered = SimpleNamespace(load=lambda: lambda options: pd.DataFrame({"a": range(options["rows"])}))
        monkeypatch.setattr("windsock.spec.registries._extensions", lambda group: {"made_up": offered})
        read = readers.read(ExtensionSource(kind="made_up", options={"rows": 3}))
        assert len(read.frame) == 3
        assert "made_up" in read.described
        assert (
            refusal(readers.read, ExtensionSource(kind="made_up", options={"rows": 0})).code == "WS-DATA-011"
        )

    def test_an_added_kind_that_fails(self, readers, monkeypatch):
        def failing(options):
            raise KeyError("secret-value")

        offered = SimpleNamespace(load=lambda: failing)
        monkeypatch.setattr("windsock.spec.registries._extensions", lambda group: {"made_up": offered})
        with pytest.raises(SourceUnavailableError, match="KeyError") as caught:
            readers.read(ExtensionSource(kind="made_up"))
        assert "secret-value" not in str(caught.value)

    def test_an_added_kind_that_is_not_installed(self, readers):
        with pytest.raises(SpecError):
            readers.read(ExtensionSource(kind="made_up"))
