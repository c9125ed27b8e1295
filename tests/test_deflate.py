"""A store moves between machines: what ISA-L wrote zlib reads, and the other way round; what is neither is an error."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import deflate

LINES = st.lists(st.sampled_from([b"live,machine=m1 n=%di 1", b"tag,name=zone value=400.%d 2"])).map(
    lambda lines: b"\n".join(line % n for n, line in enumerate(lines))
)


@given(st.one_of(st.binary(), LINES), st.integers(1, 9))
def test_either_reads_what_the_other_wrote(data: bytes, level: int) -> None:
    ours = deflate.compress(data, level)
    assert zlib.decompress(ours) == deflate.decompress(ours) == data
    assert deflate.decompress(zlib.compress(data, level)) == data
    assert gzip.decompress(deflate.compress(data, level, deflate.GZIP)) == data


@given(st.one_of(st.binary(), LINES), st.integers(1, 9))
def test_without_isal_it_is_the_same(data: bytes, level: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        ours = deflate.compress(data, level)
        patch.setattr(deflate, "isal", None)
        assert deflate.decompress(ours) == data
        theirs = deflate.compress(data, level)
        zipped = deflate.compress(data, level, deflate.GZIP)
    assert deflate.decompress(theirs) == gzip.decompress(zipped) == data


@pytest.mark.parametrize("with_isal", [True, False])
def test_what_is_neither_is_an_error(with_isal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not with_isal:
        monkeypatch.setattr(deflate, "isal", None)
    for broken in (b"", b"no", deflate.compress(b"x" * 1000)[:-3], b"\x78\x9c" + b"\xff" * 40):
        with pytest.raises(ValueError):
            deflate.decompress(broken)
