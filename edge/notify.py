"""systemd's notification protocol (sd_notify(3)): ready, reloading, stopping, watchdog. Silent where systemd is not."""

from __future__ import annotations

import os
import socket


class Notifier:
    """Writes to the socket named by NOTIFY_SOCKET, if there is one."""

    def __init__(self) -> None:
        path = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path

    def ready(self, status: str) -> None:
        """The agent reads, stores and serves."""
        self._send(f"READY=1\nSTATUS={status}")

    def starting(self, status: str, more_s: int) -> None:
        """Not ready yet, and at work: give it so much more time from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={more_s * 1_000_000}\nSTATUS={status}")

    def reloading(self, monotonic_ns: int) -> None:
        """A new site file is being read; `ready` follows (Type=notify-reload wants the monotonic time)."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={monotonic_ns // 1000}")

    def stopping(self) -> None:
        """SIGTERM was heard."""
        self._send("STOPPING=1")

    def alive(self, status: str) -> None:
        """The loop turns. Sent once a second, more often than any unit asks for."""
        self._send(f"WATCHDOG=1\nSTATUS={status}")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.setblocking(False)  # a deaf init must not stop the agent
            try:
                channel.sendto(text.encode(), self._address)
            except OSError:
                return
