"""``ServerRouter``: the serving app's admin calls over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from pydantic import ValidationError

from windsock.exceptions import (
    DeploymentRefusedError,
    ServerUnavailableError,
    SettingsError,
    StaleEpochError,
    WindsockError,
)
from windsock.records import ProbeResult, RoutePlan, RouteState

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


class ServerRouter:
    """The serving app, seen from outside.

    :param server_url: its address, such as ``http://127.0.0.1:8181``.
    :param token: gives the admin token; called for each request.
    """

    def __init__(self, server_url: str, token: Callable[[], str]) -> None:
        self.server_url = server_url.rstrip("/")
        self.token = token

    def state(self, model: str) -> RouteState | None:
        """Return what is served for a model, or ``None`` if nothing is.

        :raises ServerUnavailableError: if the server does not answer.
        :raises SettingsError: if it does not take the admin token.
        """
        answer = self._call("GET", f"/admin/routes/{quote(model, safe='')}")
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

    def probe(self, model: str, digest: str) -> ProbeResult:
        """Ask one slot for its golden predictions, past the shares.

        :raises DeploymentRefusedError: if the server has no such slot.
        :raises ServerUnavailableError: if the server does not answer.
        :raises SettingsError: if it does not take the admin token.
        """
        path = f"/admin/probe/{quote(model, safe='')}/{quote(digest, safe='')}"
        return self._read(self._call("POST", path), ProbeResult)

    def _call(
        self, method: str, path: str, *, content: str | None = None, seconds: float = ANSWER_SECONDS
    ) -> httpx.Response:
        import httpx

        headers = {"Authorization": f"Bearer {self.token()}", "Content-Type": "application/json"}
        timeout = httpx.Timeout(seconds, connect=CONNECT_SECONDS)
        try:
            # Proxies of the environment are for the world outside, not for our own server.
            with httpx.Client(timeout=timeout, trust_env=False) as client:
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
            raise ServerUnavailableError(
                f"no server answers at {self.server_url} ({type(error).__name__})"
            ) from error

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


def server_health(server_url: str) -> str:
    """Return in one sentence what the server says of itself.

    :raises ServerUnavailableError: if it does not answer, or is not Windsock's.
    """
    router = ServerRouter(server_url, lambda: "")
    said = router._said(router._call("GET", "/health"))
    if "models" not in said:
        raise ServerUnavailableError(
            f"what answers at {server_url} is not Windsock's server",
            code="WS-SERVING-024",
            next_action="Set the host to the address that `windsock serve` printed.",
        )
    return f"status {said.get('status')}, {len(said['models'])} models served"
