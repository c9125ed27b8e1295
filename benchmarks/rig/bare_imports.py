"""Reference of memory and start: the libraries an agent stands on, imported as people import them, and nothing done.

Run by path: `python -I bare_imports.py [opcua]`; says "ready" and sleeps.
"""

import asyncio
import signal
import sqlite3
import ssl
import sys

import aiohttp.web
import prometheus_client
import uvloop
import yaml

KEPT = [asyncio, sqlite3, ssl, aiohttp.web, prometheus_client, uvloop, yaml]
if "opcua" in sys.argv:
    import asyncua

    KEPT.append(asyncua)

print("ready", flush=True)
signal.pause()
