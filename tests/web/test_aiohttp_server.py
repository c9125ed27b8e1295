"""The page is served without aiohttp's client in memory, and nobody else who uses aiohttp notices."""

from __future__ import annotations

import subprocess
import sys

CLIENT = "('aiohttp.client', 'aiohttp.connector', 'aiohttp.cookiejar')"


def _told(code: str) -> str:
    return subprocess.run([sys.executable, "-Ic", code], check=True, capture_output=True, text=True).stdout.strip()


def test_the_server_comes_without_the_client() -> None:
    assert _told(f"import sys, edge.web.server; print([m for m in {CLIENT} if m in sys.modules])") == "[]"


def test_a_later_import_has_the_whole_package() -> None:
    code = (
        "import edge.web.server, aiohttp; from aiohttp import web, hdrs; from aiohttp.client import ClientSession; "
        "print(aiohttp.ClientSession is ClientSession, aiohttp.web is web, edge.web.aiohttp_server.web is web, "
        "aiohttp.__version__ != '', hasattr(aiohttp, 'no_such_name'))"
    )
    assert _told(code) == "True True True True False"


def test_a_submodule_is_an_attribute_before_the_package_is_whole() -> None:
    code = (
        "import sys, edge.web.server, aiohttp; print(aiohttp.client_exceptions.ClientError.__name__, "
        "'aiohttp.connector' in sys.modules)"
    )
    assert _told(code) == "ClientError False"


def test_what_was_imported_before_stays_as_it_was() -> None:
    code = (
        "import aiohttp, aiohttp.web; session = aiohttp.ClientSession; import edge.web.server; "
        "print(aiohttp.ClientSession is session, edge.web.aiohttp_server.web is aiohttp.web)"
    )
    assert _told(code) == "True True"


def test_a_release_that_needs_the_whole_package_gets_it() -> None:
    code = (
        "import sys; sys.modules['aiohttp.hdrs'] = None\n"  # the hollow package fails once, as such a release would
        "from edge.web.aiohttp_server import web; print('aiohttp.client' in sys.modules, hasattr(web, 'AppRunner'))"
    )
    assert _told(code) == "True True"


def test_a_sink_loads_the_client_when_it_is_made_and_not_in_mid_delivery() -> None:
    assert _told("import sys, edge.web.server, edge.sinks.influx1; print('aiohttp.connector' in sys.modules)") == "True"
