"""The simulator's own small web interface: the truth to read, the strings to pull. Loopback by default: no accounts."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from edge.errors import SeamlineError
from edge.plan import SitePlan
from edge.simulate.document import tables, truth_document
from edge.simulate.inject import InjectionError
from edge.simulate.world import World

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Interface:
    """`GET /truth /healthz /site.yaml /tags`, `POST /go /stop /inject`."""

    def __init__(self, world: World, agent_plan: SitePlan, agent_site: str) -> None:
        self._world = world
        self._agent_plan = agent_plan
        self._agent_site = agent_site
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port. Raises `OSError`."""
        application = web.Application(middlewares=[_answer_errors], client_max_size=65_536)
        application.add_routes(
            [
                web.get("/truth", self._truth),
                web.get("/healthz", self._health),
                web.get("/site.yaml", self._site),
                web.get("/tags", self._tags),
                web.post("/go", self._go),
                web.post("/stop", self._stop),
                web.post("/inject", self._inject),
            ]
        )
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        address: tuple[str, int] = self._runner.addresses[0]
        return address[1]

    async def close(self) -> None:
        """Let go of the port."""
        if self._runner:
            await self._runner.cleanup()

    async def _truth(self, request: web.Request) -> web.Response:
        begin, end = (request.query.get(name) for name in ("from_ns", "to_ns"))
        document = truth_document(
            self._world.plant,
            self._agent_plan,
            self._world.now_ns(),
            int(begin) if begin else None,
            int(end) if end else None,
        )
        return web.json_response(document)

    async def _health(self, _: web.Request) -> web.Response:
        up = {device.id: self._world.up(device.id) for device in self._world.plan.devices}
        return web.json_response({"ok": True, "devices": up, "writes_refused": self._world.writes_refused()})

    async def _site(self, _: web.Request) -> web.Response:
        return web.Response(text=self._agent_site, content_type="application/yaml")

    async def _tags(self, _: web.Request) -> web.Response:
        return web.Response(text="\n".join(tables(self._world.plan, self._world.images)) + "\n")

    async def _go(self, _: web.Request) -> web.Response:
        return web.json_response({"go_ns": self._world.go()})

    async def _stop(self, _: web.Request) -> web.Response:
        return web.json_response({"stop_ns": self._world.stop()})

    async def _inject(self, request: web.Request) -> web.Response:
        order = json.loads(await request.text())
        if not isinstance(order, dict):
            raise InjectionError('expected an object such as {"kind": "reset", "target": "mask-1"}')
        return web.json_response(self._world.inject(order).to_json())


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A wrong question is the asker's fault, and is told why."""
    try:
        return await handler(request)
    except (SeamlineError, ValueError) as error:
        return web.json_response({"error": str(error)}, status=400)
