"""The app of a slot behind an address: one version, for the server in front that shares its secret."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from windsock.adapters.bundle_store import SignedBundleStore
from windsock.adapters.slot_folder import BUNDLES_FOLDER, KEYS_FOLDER
from windsock.adapters.slot_secrets import (
    NONCE_DIGITS,
    NONCE_HEADER,
    PROOF_HEADER,
    READY_PATH,
    SCHEME,
    SCORES_PATH,
    SLOT_FILE,
    SlotSecret,
    read_slot_file,
)
from windsock.adapters.storage import Storage
from windsock.exceptions import UnverifiedBundleError, WindsockError
from windsock.records import SlotDeployment, SlotPlan
from windsock.serving.contract import read_rows
from windsock.serving.errors import Guard, error_response, json_response
from windsock.serving.metrics import Metrics
from windsock.serving.requests import read_content
from windsock.serving.server import bind
from windsock.serving.service import Limits
from windsock.serving.slots import Slot, slot_in_process
from windsock.serving.strict_json import read_json

log = logging.getLogger(__name__)

NONCE = re.compile(f"[0-9a-f]{{{NONCE_DIGITS}}}")
PROOF = re.compile(f"{SCHEME} ([0-9a-f]{{64}})")
MOST_CONNECTIONS = 512
KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 5

Answer = Callable[[bytes], Awaitable[object]]


class SlotRefusedError(WindsockError):
    """A request to a slot that does not come from the server in front of it."""

    default_code = "WS-SLOT-003"
    default_next = "Ask the server in front of it; a slot takes neither clients' keys nor the admin token."

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class SlotApp:
    """What a slot answers: scores and readiness to the server in front, to everybody else that it lives.

    :param deployment: what the slot is.
    :param secret: what it shares with the server in front.
    :param slot: the version, loaded.
    :param limits: sizes and times of requests.
    """

    def __init__(
        self, deployment: SlotDeployment, secret: SlotSecret, slot: Slot, limits: Limits | None = None
    ) -> None:
        self.deployment = deployment
        self.secret = secret
        self.slot = slot
        self.limits = (limits or Limits()).for_gateways()

    def app(self) -> Starlette:
        """Return the app."""
        return Starlette(
            routes=[
                Route("/health", self.health, methods=["GET"]),
                Route(READY_PATH, self.ready, methods=["GET"]),
                Route(SCORES_PATH, self.scores, methods=["POST"]),
            ],
            middleware=[Middleware(Guard, metrics=Metrics())],
            exception_handlers={WindsockError: _ours, HTTPException: _web},
        )

    async def health(self, request: Request) -> Response:
        """Say that the slot lives, and nothing about what it serves."""
        return json_response({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """Say to the target which version answers here."""
        return await self._answer(request, self._ready)

    async def scores(self, request: Request) -> Response:
        """Return the version's raw scores of rows."""
        return await self._answer(request, self._scores)

    async def _ready(self, body: bytes) -> object:
        return {"digest": self.deployment.digest, "version": self.deployment.version}

    async def _scores(self, body: bytes) -> object:
        # The server in front holds requests against the schema; golden rows may say more than a client may.
        rows = read_rows(read_json(body), self.slot.schema)
        answers = [list(row) for row in await self.slot.scores(rows)]
        return {**self.deployment.model_dump(include={"digest", "version"}), "scores": answers}

    async def _answer(self, request: Request, answer: Answer) -> Response:
        """Answer a request that is proved, with a proof of the answer."""
        sent = request.headers.get("authorization", "")
        proof, nonce = PROOF.fullmatch(sent), request.headers.get(NONCE_HEADER, "")
        if proof is None or not NONCE.fullmatch(nonce):  # before anything of the body is read
            raise SlotRefusedError("this call needs a proof by the secret of this slot", status=401)
        body = await read_content(request, self.limits)
        if not self.secret.proves_request(proof[1], nonce, request.method, request.url.path, body):
            raise SlotRefusedError("the proof is not one by the secret of this slot", status=403)
        try:
            response = json_response(await answer(body))
        except WindsockError as error:
            response = error_response(error)
        content = bytes(response.body)
        response.headers[PROOF_HEADER] = self.secret.answer_proof(nonce, response.status_code, content)
        return response


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, WindsockError)  # noqa: S101 - it is registered for these only
    return error_response(error)


async def _web(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 422
    content = {
        "error": "a slot has no such page",
        "code": "WS-SERVING-017",
        "next": "Ask the server in front of it.",
    }
    return json_response(content, status)


def load_slot(folder: Path) -> SlotApp:
    """Read a slot's folder as the target has written it, verify its bundle and load it.

    :raises SlotSecretError: if the file with its secret cannot be used.
    :raises UnverifiedBundleError: if the bundle is not what was signed, or another model's.
    :raises DeploymentRefusedError: if it does not give its golden predictions.
    """
    deployment, secret = read_slot_file(folder / SLOT_FILE)
    copy = folder / BUNDLES_FOLDER / deployment.digest
    store = SignedBundleStore(Storage(str(folder / BUNDLES_FOLDER)), folder / KEYS_FOLDER)
    bundle = store.load_folder(copy, deployment.digest, whole=False)
    if bundle.manifest.model != deployment.model:
        raise UnverifiedBundleError(
            f"bundle {deployment.digest[:12]} is of model {bundle.manifest.model}, not of {deployment.model}",
            code="WS-SERVING-007",
            next_action="Deploy a version of this model.",
        )
    plan = SlotPlan(version=deployment.version, digest=deployment.digest, bundle_uri=str(copy), share=0)
    executor = ThreadPoolExecutor(1, thread_name_prefix="predict")
    return SlotApp(deployment, secret, slot_in_process(plan, bundle, executor))


def run_slot(folder: Path, *, host: str, port: int) -> None:
    """Serve the version of a slot's folder until SIGTERM comes, in this process.

    :param folder: what the target has written: ``slot.json`` (mode 0600), ``keys/``, ``bundles/DIGEST/``.
    :raises WindsockError: if it cannot be loaded, or the port is taken.
    """
    import uvicorn

    made = load_slot(folder)
    known = made.deployment
    config = uvicorn.Config(
        made.app(),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        ws="none",
        lifespan="off",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    with bind(host, port) as listening:
        log.info("slot of %s version %s, bundle %s", known.model, known.version, known.digest[:12])
        asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))
