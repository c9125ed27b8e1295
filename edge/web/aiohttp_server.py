"""aiohttp's server without its client.

Theory. Whoever imports a part of aiohttp executes `aiohttp/__init__.py` first, and that imports the client: two dozen
modules, and two TLS contexts that hold every CA certificate of the system. A process that only serves a page pays about
4 MiB and 0.1 s for nothing. But the import system needs of a parent package no more than its `__path__` (Python
Language Reference §5.4.1), so the package is entered into `sys.modules` hollow, and `aiohttp.web` is imported into it.

Rules.
* A hollow package is whole for everybody else: a submodule asked for is imported, and any other name fills the package
  by executing its `__init__` after all.
* Where aiohttp is imported already, nothing is touched.
* A release of aiohttp whose server needs the whole package gets it.
"""

from __future__ import annotations

import mimetypes
import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

_PACKAGE = "aiohttp"


class _Hollow(ModuleType):
    """The package before its `__init__` ran."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if find_spec(f"{_PACKAGE}.{name}"):
            return import_module(f"{_PACKAGE}.{name}")
        self.__class__ = ModuleType  # type: ignore[assignment] # no longer hollow
        assert self.__spec__
        assert self.__spec__.loader
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def _import_web() -> ModuleType:
    spec = find_spec(_PACKAGE)
    if spec is None or _PACKAGE in sys.modules:
        return import_module(f"{_PACKAGE}.web")
    mimetypes.knownfiles.clear()  # aiohttp would read the system's list of types, twice; the page names its own
    package = module_from_spec(spec)
    package.__class__ = _Hollow
    vars(package)["__version__"] = ""  # goes into a Server header that the page replaces by its own
    sys.modules[_PACKAGE] = package
    try:
        return import_module(f"{_PACKAGE}.web")
    except ImportError:
        for name in [name for name in sys.modules if name.partition(".")[0] == _PACKAGE]:
            del sys.modules[name]
        return import_module(f"{_PACKAGE}.web")


if TYPE_CHECKING:
    from aiohttp import web
else:
    web = _import_web()

__all__ = ["web"]
