"""Every way a site file may name a node is understood, and a mistake is explained."""

from __future__ import annotations

import contextlib
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.opcua.address import BrowsePath, Kind, NodeAddress, parse


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("i=2258", NodeAddress(0, Kind.NUMERIC, 2258)),
        ("ns=2;s=Line.Total", NodeAddress(2, Kind.STRING, "Line.Total")),
        ('ns=3;s="Mach"."Status"', NodeAddress(3, Kind.STRING, '"Mach"."Status"')),
        ("ns=4;s=a;b=c", NodeAddress(4, Kind.STRING, "a;b=c")),
        (
            "ns=1;g=09087e75-8e5e-499b-954f-f2a9603db28a",
            NodeAddress(1, Kind.GUID, UUID("09087e75-8e5e-499b-954f-f2a9603db28a")),
        ),
        (
            "ns=1;b=M/RbKBsRVkePCePcx24oRA==",
            NodeAddress(1, Kind.OPAQUE, bytes.fromhex("33f45b281b1156478f09e3dcc76e2844")),
        ),
        ("nsu=http://x/y;s=Total", NodeAddress(0, Kind.STRING, "Total", "http://x/y")),
        ("nsu=urn:a%3Bb%25;i=7", NodeAddress(0, Kind.NUMERIC, 7, "urn:a;b%")),
        ("/0:Objects/2:Machine/2:Total", BrowsePath(((0, "Objects"), (2, "Machine"), (2, "Total")))),
        ("/Objects/2:a&/b&&c", BrowsePath(((0, "Objects"), (2, "a/b&c")))),
        ("/Objects/2:Rate:1.5", BrowsePath(((0, "Objects"), (2, "Rate:1.5")))),
    ],
)
def test_every_notation_is_understood(text: str, address: NodeAddress | BrowsePath) -> None:
    """The notations of OPC 10000-6 §5.3.1.10 and browse paths mean what the standard says."""
    assert parse(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Total",
        "ns=2",
        "ns=x;s=a",
        "ns=70000;i=1",
        "ns=2;s=",
        "ns=2;i=-1",
        "i=4294967296",
        "g=12",
        "b=%%",
        "b=",
        "x=1",
        "nsu=;s=a",
        "nsu=urn:x",
        "/",
        "/0:Objects//2:a",
        "/70000:a",
        "/2:a<b",
        "/2:a&",
    ],
)
def test_a_mistake_is_explained(text: str) -> None:
    """What is no address is refused with the text and an expectation in the message."""
    with pytest.raises(ValueError, match=r"expected|write") as caught:
        parse(text)
    assert repr(text) in str(caught.value)


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    """Whatever a person types is either an address or a ValueError."""
    with contextlib.suppress(ValueError):
        parse(text)
