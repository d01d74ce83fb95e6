"""``ServerRouter``: the serving app's admin calls over HTTP."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote

from pydantic import ValidationError

from windsock.adapters.tls import client_context
from windsock.exceptions import (
    DeploymentRefusedError,
    ServerUnavailableError,
    SettingsError,
    StaleEpochError,
    WindsockError,
)
from windsock.locations import when_down
from windsock.records import ProbeResult, RoutePlan, RouteState
from windsock.settings import Settings

if TYPE_CHECKING:
    import httpx

Kind = TypeVar("Kind", RouteState, ProbeResult)

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 30.0
APPLY_SECONDS = 200.0
"""A new bundle is fetched, checked and loaded by every worker before the server answers."""

REFUSALS: dict[int, type[WindsockError]] = {
    401: SettingsError,
    403: SettingsError,
    409: StaleEpochError,
    422: DeploymentRefusedError,
}
ADDRESS = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,100}")


class ServerRouter:
    """The serving app, seen from outside.

    :param server_url: its address, such as ``http://127.0.0.1:8181``.
    :param token: gives the admin token; called for each request.
    :param tls: gives what an ``https`` address needs; called for each request, so that new files are
        taken up. Default: the system's authorities.
    :param folder: the state folder of the installation's server, where that is on this machine. What it says
        of the server's address is named where nothing answers and is never followed: the token would be sent
        to whoever may write there.
    """

    def __init__(
        self,
        server_url: str,
        token: Callable[[], str],
        tls: Callable[[], ssl.SSLContext | None] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.server_url = server_url.rstrip("/")
        self.token = token
        self.tls = tls
        self.folder = folder

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the server of an installation, where it answers admin calls, trusted as its settings say."""
        address = settings.admin_address
        tls = partial(client_context, settings, address)
        return cls(address, settings.read_admin_token, tls, settings.serving_dir)

    def state(self, model: str, *, seconds: float = ANSWER_SECONDS) -> RouteState | None:
        """Return what is served for a model, or ``None`` if nothing is.

        :param seconds: how long the answer is waited for.
        :raises ServerUnavailableError: if the server does not answer.
        :raises SettingsError: if it does not take the admin token.
        """
        answer = self._call("GET", f"/admin/routes/{quote(model, safe='')}", seconds=seconds)
        if answer.status_code == 404 and self._said(answer).get("code") == "WS-SERVING-013":
            return None
        return self._read(answer, RouteState)

    def apply(self, plan: RoutePlan) -> RouteState:
        """Hand over a plan; answers once every worker serves by it. The same plan twice changes nothing.

        :raises StaleEpochError: if the server already serves by a later epoch.
        :raises DeploymentRefusedError: if a bundle does not verify, load or match its golden predictions.
        :raises ServerUnavailableError: if the server does not answer.
        :raises SettingsError: if it does not take the admin token.
        """
        answer = self._call(
            "PUT",
            f"/admin/routes/{quote(plan.model, safe='')}",
            content=plan.model_dump_json(),
            seconds=APPLY_SECONDS,
        )
        return self._read(answer, RouteState)

    def clock(self) -> datetime | None:
        """Return the server's time, to the second; ``None``: it does not say.

        :raises ServerUnavailableError: if it does not answer.
        :raises SettingsError: if its certificate is not trusted.
        """
        try:
            return parsedate_to_datetime(self._call("GET", "/health").headers["date"])
        except (KeyError, ValueError):
            return None

    def probe(self, model: str, digest: str) -> ProbeResult:
        """Ask one slot for its golden predictions, past the shares.

        :raises DeploymentRefusedError: if the server has no such slot.
        :raises ServerUnavailableError: if the server does not answer.
        :raises SettingsError: if it does not take the admin token.
        """
        path = f"/admin/probe/{quote(model, safe='')}/{quote(digest, safe='')}"
        return self._read(self._call("POST", path), ProbeResult)

    def health(self, seconds: float) -> dict[str, Any]:
        """Return what the server says of itself.

        :param seconds: how long it has to answer.
        :raises ServerUnavailableError: if it does not answer, or is not Windsock's.
        :raises SettingsError: if its certificate is not trusted.
        """
        answer = self._call("GET", "/health", seconds=seconds)
        said = self._said(answer)
        if "models" not in said and said.get("server") != "windsock":
            raise self._not_ours(answer)
        return said

    def _call(
        self, method: str, path: str, *, content: str | None = None, seconds: float = ANSWER_SECONDS
    ) -> httpx.Response:
        import httpx

        headers = {"Content-Type": "application/json"}
        if token := self.token():
            headers["Authorization"] = f"Bearer {token}"
        timeout = httpx.Timeout(seconds, connect=CONNECT_SECONDS)
        context = self.tls() if self.tls is not None else None
        try:
            # Proxies of the environment are for the world outside, not for our own server.
            with httpx.Client(timeout=timeout, trust_env=False, verify=context or True) as client:
                return client.request(method, self.server_url + path, content=content, headers=headers)
        except httpx.TimeoutException as error:
            raise ServerUnavailableError(
                f"the server at {self.server_url} did not answer within {seconds:g} s",
                next_action="Look at its log and at GET /health; the task will be retried.",
            ) from error
        except httpx.InvalidURL as error:
            raise SettingsError(
                f"the server's address {self.server_url!r} cannot be used",
                next_action="Set WINDSOCK_SERVER_URL, or the host of the connection windsock_default.",
            ) from error
        except httpx.HTTPError as error:
            if isinstance(cause := _tls_fault(error), ssl.SSLError):
                raise self._no_tls(cause) from error
            raise ServerUnavailableError(
                f"no server answers at {self.server_url} ({type(error).__name__})",
                next_action=self._elsewhere() or self._restart(),
            ) from error

    def _elsewhere(self) -> str | None:
        """Return what to do where the installation's server listens elsewhere; ``None``: it is not known."""
        if self.folder is None:
            return None
        try:
            facts = json.loads((self.folder / "server.json").read_bytes())
            found = [str(facts[name]) for name in ("address", "private")]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if self.server_url in found or not all(map(ADDRESS.fullmatch, found)):
            return None
        return (
            "The server of this installation says that it listens elsewhere; if it is yours, set "
            f"WINDSOCK_SERVER_URL={found[0]} and WINDSOCK_ADMIN_URL={found[1]}, then run it again."
        )

    def _restart(self) -> str | None:
        """Return what to do where nothing says that the server listens elsewhere; ``None``: start it."""
        if self.folder is None:
            return None
        return when_down(self.folder.parent, "server", "", address=self.server_url) or None

    def _no_tls(self, fault: ssl.SSLError) -> SettingsError:
        if isinstance(fault, ssl.SSLCertVerificationError):
            said = f"its certificate is not trusted: {fault.verify_message}"
        else:
            reason = (fault.reason or type(fault).__name__).replace("_", " ").lower()
            said = f"the TLS handshake failed ({reason})"
        return SettingsError(
            f"the server at {self.server_url}: {said}",
            code="WS-SERVING-032",
            next_action="Set WINDSOCK_SERVER_CA to the authority of its certificate; if it asks for client "
            "certificates, also WINDSOCK_SERVER_CLIENT_CERT and WINDSOCK_SERVER_CLIENT_KEY.",
        )

    def _read(self, answer: httpx.Response, kind: type[Kind]) -> Kind:
        if answer.status_code == 200:
            try:
                return kind.model_validate_json(answer.content)
            except ValidationError:
                raise self._not_ours(answer) from None  # its text repeats the answer
        said = self._said(answer)
        if not said.get("code"):
            raise self._not_ours(answer)
        message, code, cure = str(said.get("error")), str(said["code"]), str(said.get("next"))
        for fault in said.get("detail", ()):
            message += f"; {fault.get('field')}: got {fault.get('got')}, expected {fault.get('expected')}"
        if answer.status_code in (401, 403):
            message = f"the server at {self.server_url} refuses the admin token: {message}"
        raise REFUSALS.get(answer.status_code, ServerUnavailableError)(message, code=code, next_action=cure)

    def _not_ours(self, answer: httpx.Response) -> ServerUnavailableError:
        return ServerUnavailableError(
            f"what answers at {self.server_url} is not Windsock's server (status {answer.status_code})",
            code="WS-SERVING-024",
            next_action="Set WINDSOCK_SERVER_URL to the address that `windsock serve` printed.",
        )

    def _said(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            said = answer.json()
        except ValueError:
            return {}
        return said if isinstance(said, dict) else {}


def _tls_fault(error: BaseException) -> BaseException | None:
    """Return the fault of TLS behind an error, where there is one."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    return cause


def server_health(server_url: str, settings: Settings | None = None) -> str:
    """Return in one sentence what the server says of itself.

    :param server_url: its address. Only the private listener names models when keys are required.
    :param settings: say whom an ``https`` address is trusted by; default: the system's authorities.
    :raises ServerUnavailableError: if it does not answer, or is not Windsock's.
    :raises SettingsError: if its certificate is not trusted.
    """
    tls = None if settings is None else partial(client_context, settings, server_url)
    said = ServerRouter(server_url, lambda: "", tls).health(ANSWER_SECONDS)
    if "models" not in said:
        return f"status {said.get('status')}; it shows its models to clients only"
    return f"status {said.get('status')}, {len(said['models'])} models served"
