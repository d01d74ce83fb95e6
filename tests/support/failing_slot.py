"""A slot behind an address that raises, refuses or answers nonsense, by what a row says its age is."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import uvicorn

from support.mlflow_process import free_port
from support.serving import wait_until
from support.slots import answers, make_deployment
from windsock.adapters.slot_register import SlotRegister
from windsock.ports import LoadedBundle
from windsock.records import SlotDeployment, SlotPlan, StoredBundle
from windsock.serving.slot_app import SlotApp
from windsock.serving.slots import LocalSlot, Rows, Scores, UnanswerableError
from windsock.settings import Settings

RAISES, NOT_A_NUMBER, REFUSES = 1.25, 2.25, 3.25
"""Ages that it cannot bear."""


class FailingSlot(LocalSlot):
    """A version that cannot bear some ages."""

    async def scores(self, rows: Rows) -> Scores:
        ages = {row[0] for row in rows}
        if RAISES in ages:
            raise RuntimeError("this version raises")
        if REFUSES in ages:
            raise UnanswerableError("no finite answer")
        scores = await super().scores(rows)
        return [[float("nan")] * len(row) for row in scores] if NOT_A_NUMBER in ages else scores


@contextmanager
def failing_slot(
    settings: Settings, bundle: LoadedBundle, stored: StoredBundle, **fields: Any
) -> Iterator[SlotDeployment]:
    """Run such a slot in a thread, signed as one that the target has started."""
    port = free_port()
    deployment = make_deployment(stored.digest, f"http://127.0.0.1:{port}", **fields)
    register = SlotRegister.of(settings)
    register.key.make()
    register.add(deployment)
    plan = SlotPlan(version=deployment.version, digest=stored.digest, bundle_uri=stored.uri, share=0)
    slot = FailingSlot(plan, bundle, ThreadPoolExecutor(1))
    app = SlotApp(deployment, register.secret_of(deployment), slot).app()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, access_log=False, lifespan="off"))
    logging.getLogger("windsock.serving.errors").disabled = True  # it raises hundreds of times
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    try:
        wait_until(lambda: answers(deployment.address), what="the slot")
        yield deployment
    finally:
        server.should_exit = True
        thread.join(10)
        logging.getLogger("windsock.serving.errors").disabled = False
        assert not thread.is_alive()
