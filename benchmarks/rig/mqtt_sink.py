"""An MQTT 3.1.1 broker that says yes to everything and keeps nothing. Prints its port; ends with its standard input."""

from __future__ import annotations

import asyncio
import sys


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            (first,) = await reader.readexactly(1)
            size = shift = 0
            while True:  # remaining length: seven bits a byte (§2.2.3)
                (byte,) = await reader.readexactly(1)
                size, shift = size | (byte & 127) << shift, shift + 7
                if byte < 128:
                    break
            writer.write(_answer(first, await reader.readexactly(size)))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def _answer(first: int, body: bytes) -> bytes:
    """What a broker says to CONNECT, PUBLISH, SUBSCRIBE, UNSUBSCRIBE and PINGREQ (§2.2.1)."""
    match first >> 4:
        case 1:
            return b"\x20\x02\x00\x00"
        case 3 if first & 6:  # QoS 1 or 2
            topic = 2 + int.from_bytes(body[:2], "big")
            return b"\x40\x02" + body[topic : topic + 2]
        case 8:
            return b"\x90\x03" + body[:2] + b"\x01"
        case 10:
            return b"\xb0\x02" + body[:2]
        case 12:
            return b"\xd0\x00"
        case _:
            return b""


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
