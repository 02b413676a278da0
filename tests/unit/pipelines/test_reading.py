"""Bytes of a drop to cells, or to one sentence about what is wrong with them."""

import gzip
import random
import tarfile
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.errors import BadDrop
from tests.unit.pipelines.builders import a_csv, a_tar, read

TABLE = {"a": ["1", "3"], "b": ["x", "y"]}
PLAIN = b"a,b\n1,x\n3,y\n"


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        b"a,b\n1,x\n3,y",
        b"\xef\xbb\xbfa,b\r\n1,x\r\n3,y\r\n",
        b"a,b\r1,x\r3,y\r",
        b"a;b\n1;x\n3;y\n",
        b"a\tb\n1\tx\n3\ty\n",
        b"a|b\n1|x\n3|y\n",
        b"\n\n a , b \n1, x \n\n3,y\n",
        b'"a","b"\n"1","x"\n"3","y"\n',
        gzip.compress(PLAIN, mtime=0),
        gzip.compress(b"a,b\n1,x\n", mtime=0) + gzip.compress(b"3,y\n", mtime=0),
        a_tar({"one.csv": PLAIN}),
        a_tar({"part-0.csv": b"a,b\n1,x\n", "part-1.csv": b"b,a\ny,3\n"}),
        a_tar(
            {"data/part-0.csv": b"a,b\n1,x\n", "data/part-1.csv": b"", "data/part-2.csv": b"a,b\n3,y\n", "data/README.md": b"#"}
        ),
    ],
    ids=[
        "lf",
        "no-last-newline",
        "bom-crlf",
        "cr",
        "semicolon",
        "tab",
        "bar",
        "blanks",
        "quoted",
        "gzip",
        "gzip-twice",
        "tar",
        "tar-parts",
        "tar-mixed",
    ],
)
def test_every_honest_shape_is_read_alike(content: bytes) -> None:
    """The same cells come out, however they are packed, separated or ended."""
    assert read(content).table.to_pydict() == TABLE


@pytest.mark.parametrize("cell", ["", " ", "NA", "n/a", "NaN", "null", "None", r"\N", "?", "-"])
def test_every_spelling_of_a_missing_cell_is_null(cell: str) -> None:
    """A missing cell is null, whatever the exporting system writes for it."""
    assert read(f"a,b\n1,{cell}\n".encode()).table.to_pydict() == {"a": ["1"], "b": [None]}


def test_decimal_comma_is_read_where_the_comma_does_not_separate() -> None:
    """A semicolon file may have decimal commas."""
    assert read(b"a;b\n1,5;x,y\n").table.to_pydict() == {"a": ["1.5"], "b": ["x,y"]}


def test_quoted_cell_keeps_separators_and_line_breaks() -> None:
    """Quoting is understood."""
    assert read(b'a,b\n1,"x, ""y""\nz"\n').table.to_pydict() == {"a": ["1"], "b": ['x, "y"\nz']}


def test_quote_inside_a_cell_is_a_character() -> None:
    """A stray inch sign does not make a file unreadable."""
    assert read(b'a,b\n1,5" pipe\n').table.to_pydict() == {"a": ["1"], "b": ['5" pipe']}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the file is empty (0 bytes)"),
        (b"\n \r\n", "nothing but blanks"),
        (b"a,b\n", "a header but no rows"),
        (b"a,b", "a header but no rows"),
        (b"a,b\n1,2\n3\n4,5\n", "row 2 has 1 cells, the header has 2"),
        (b"a,b\n1,2\n3,4,5\n4,5\n", "row 2 has 3 cells, the header has 2"),
        (b"a,b\n1,2\n3,4\n5", "ends in the middle of row 3: it has 1 of 2 cells"),
        (b"a,b\n" + b"1,2\n" * 300_000 + b"3", "ends in the middle of row 300001"),
        (b'a,b\n1,2\n3,"x', "a quote is opened in row 2 and never closed"),
        (b'a,b\n1,"2\n3,4\n', "a quote is opened in row 1 and never closed"),
        (b'a,b\n1,"' + b"2,3\n" * 900_000, "a quote is opened and never closed"),
        (b"a" * 300_000, "first line is longer than 64 KiB"),
        (b"a,b\n1," + b"x" * 3_000_000, "a line is longer than 1 MiB"),
        (b"a,b,a\n1,2,3\n", "names column 'a' twice, as columns 1 and 3"),
        (b"a,b\n1,\xff\xfe\n", "line 2 holds a byte that is not UTF-8 text (0xff)"),
        (b"a,\xe4\n1,2\n", "byte 0xe4 at position 3"),
        ("a,b\n1,2\n".encode("utf-16"), "the file is UTF-16"),
        (random.Random(1).randbytes(5000), "not CSV"),
        (b"\x89PNG\r\n\x1a\n\0\0", "binary, not CSV"),
        (b"PK\x03\x04rest", "a zip archive or an Excel workbook"),
        (gzip.compress(a_csv(2000), mtime=0)[:-3000], "the gzip stream ends too early"),
        (b"\x1f\x8bgarbage that is no gzip", "the gzip stream is damaged"),
        (gzip.compress(b"", mtime=0), "nothing but blanks"),
        (
            gzip.compress(gzip.decompress(a_tar({"a.csv": a_csv(5000)}))[:50_000], mtime=0),
            "the tar archive is damaged or cut off",
        ),
        (a_tar({"notes.txt": b"hello"}), "holds no .csv file"),
        (a_tar({"a.csv": PLAIN, "b.csv": b"a,c\n1,2\n"}), "b.csv differs from the first part in 'b', 'c'"),
        (a_tar({"a.csv": PLAIN, "b.csv": b"a,b\n1,2\n3\n4,5\n"}), "in b.csv: row 2 has 1 cells"),
        (a_tar({"../a.csv": PLAIN}), "'../a.csv', a path that leaves the folder"),
        (a_tar({"/etc/a.csv": PLAIN}), "'/etc/a.csv', a path that leaves the folder"),
    ],
)
def test_broken_bytes_are_refused_with_one_sentence(content: bytes, sentence: str) -> None:
    """What is wrong, and where, is said in one line."""
    with pytest.raises(BadDrop) as refused:
        read(content)
    assert sentence in refused.value.reason
    assert "\n" not in refused.value.reason


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_archive_with_anything_but_files_is_refused(kind: bytes) -> None:
    """Links and devices are refused before anything is read from them."""
    info = tarfile.TarInfo("a.csv")
    info.type, info.linkname = kind, "/etc/passwd"
    with pytest.raises(BadDrop, match="links and devices are refused"):
        read(a_tar({}, info))


def test_unpacked_size_is_bounded() -> None:
    """A small file that unpacks to a large one is refused at the bound."""
    bomb = gzip.compress(b"a,b\n" + b"1,2\n" * 1_000_000)
    assert len(bomb) < 50_000
    with pytest.raises(BadDrop, match="unpacks to more than the 1,000,000 bytes"):
        read(bomb, max_bytes=1_000_000)


def test_number_of_archive_entries_is_bounded() -> None:
    """An archive of countless empty entries is refused."""
    with pytest.raises(BadDrop, match="more than 10,000 entries"):
        read(a_tar({f"{number}.csv": b"" for number in range(10_001)}))


def test_rows_of_an_archive_are_found_again_in_their_part() -> None:
    """A person is told the part, and the row in it."""
    raw = read(a_tar({"x.csv": b"a,b\n1,2\n3,4\n", "y.csv": b"a,b\n5,6\n"}))
    assert [raw.place(row) for row in (1, 2, 3)] == ["row 1 of x.csv", "row 2 of x.csv", "row 1 of y.csv"]


@given(st.binary(max_size=2000))
@example(b"\x1f\x8b\x08\x00")
@example(b"\0" * 600)
@example(b"\0" * 257 + b"ustar" + b"\0" * 300)
@example(b'a,b\n"')
def test_arbitrary_bytes_are_cells_or_a_bad_drop(content: bytes) -> None:
    """Nothing else ever comes out."""
    expect_cells_or_bad_drop(content)


@given(cut=st.integers(0, 900), noise=st.binary(max_size=4), at=st.integers(0, 900), packed=st.booleans())
def test_damaged_drops_are_cells_or_a_bad_drop(cut: int, noise: bytes, at: int, packed: bool) -> None:  # noqa: FBT001 - hypothesis decides
    """A drop that was cut or overwritten somewhere never fails in another way."""
    whole = a_tar({"a.csv": a_csv(30), "b.csv": a_csv(20)}) if packed else a_csv(40)
    damaged = whole[:at] + noise + whole[at + len(noise) :]
    expect_cells_or_bad_drop(damaged[: len(damaged) - cut])


def expect_cells_or_bad_drop(content: bytes) -> None:
    """Read, and accept the two ways it may end."""
    with suppress(BadDrop):
        raw = read(content)
        assert raw.table.num_rows > 0
        assert len(set(raw.table.column_names)) == raw.table.num_columns


def test_wide_and_long_file_is_read_whole() -> None:
    """No row is lost at the borders of the parser's blocks."""
    lines = [",".join(str(number + column) for column in range(50)) for number in range(20_000)]
    table = read(("\n".join([",".join(f"c{column}" for column in range(50)), *lines]) + "\n").encode()).table
    assert table["c49"].to_pylist() == [str(number + 49) for number in range(20_000)]
