"""Until when each OPC UA server was heard, remembered across restarts: where its history is to be read from.

The recorder stores it with the batch that has all that was heard until then, so a gateway that was off, or killed,
knows what it missed. It names the server's address: what another server did is nobody's gap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_KEY = "heard:"  # + device id


@dataclass(frozen=True, slots=True)
class Last:
    """When a server was last heard."""

    t_ns: int  # UTC by our clock
    skew_ns: int | None  # its clock minus ours then; None = it did not say


class Heard:
    """All servers of a site, between the pollers and a store of texts by key."""

    def __init__(self) -> None:
        self._stored: dict[str, str] = {}
        self._now: dict[str, tuple[str, Last]] = {}  # by device: address, and when

    def fill(self, texts: Mapping[str, str]) -> None:
        """What the store has; keys of others are ignored."""
        self._stored |= {key: text for key, text in texts.items() if key.startswith(_KEY)}

    def note(self, device: str, url: str, t_ns: int, skew_ns: int | None) -> None:
        """It was heard."""
        self._now[device] = url, Last(t_ns, skew_ns)

    def take(self) -> list[tuple[str, str]]:
        """Keys and texts that are new since the last call, to be stored."""
        news = {}
        for device, (url, last) in self._now.items():
            text = f"{last.t_ns} {'' if last.skew_ns is None else last.skew_ns} {url}"
            if self._stored.get(_KEY + device) != text:
                news[_KEY + device] = text
        self._stored |= news
        return list(news.items())

    def recall(self, device: str, url: str) -> Last | None:
        """When this server was last heard; None where it never was."""
        if device in self._now:
            heard_url, last = self._now[device]
            return last if heard_url == url else None
        t_ns, _, rest = self._stored.get(_KEY + device, "").partition(" ")
        skew_ns, _, heard_url = rest.partition(" ")
        try:
            return Last(int(t_ns), int(skew_ns) if skew_ns else None) if heard_url == url else None
        except ValueError:  # somebody edited the store
            return None
