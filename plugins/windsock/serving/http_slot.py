"""``HttpSlot``: a version that the target has started behind an address, asked without any token."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from windsock.adapters.slot_secrets import PROOF_HEADER, READY_PATH, SCORES_PATH, SlotSecret
from windsock.ports import LoadedBundle
from windsock.records import Answer, SlotDeployment, SlotPlan
from windsock.serving.slots import (
    BundleSlot,
    Rows,
    Scores,
    SlotFailedError,
    UnanswerableError,
    is_finite,
)

if TYPE_CHECKING:
    import httpx

REMOTE = "remote"


class HttpSlot(BundleSlot):
    """A version that the target has started behind an address, in a container.

    The request carries a proof and no token, the answer must carry the slot's own proof. Rows are sent only
    after the slot has proved itself, anew after each failure; where an answer redirects to is not followed.

    :param plan: the slot in the routing table.
    :param bundle: the verified bundle; its schema and golden predictions are used, its pipeline is not.
    :param client: HTTP client of this worker.
    :param deployment: the signed record by which the slot has its address.
    :param secret: the secret of this slot and no other.
    """

    engine = REMOTE

    def __init__(
        self,
        plan: SlotPlan,
        bundle: LoadedBundle,
        client: httpx.AsyncClient,
        deployment: SlotDeployment,
        secret: SlotSecret,
    ) -> None:
        super().__init__(plan, bundle)
        self.client = client
        self.secret = secret
        self.address = deployment.address
        self._proved_itself = False

    def scores_now(self, rows: Rows) -> Scores | None:
        """See :meth:`Slot.scores_now`: it never answers without waiting."""
        return None

    async def scores(self, rows: Rows) -> Scores:
        """See :meth:`Slot.scores`."""
        asked = {"fields": [field.name for field in self.schema.fields], "rows": [list(row) for row in rows]}
        content = json.dumps(asked, allow_nan=False, ensure_ascii=False).encode()
        try:
            if not self._proved_itself:
                await self._call("GET", READY_PATH, b"")
                self._proved_itself = True
            return self._read(await self._call("POST", SCORES_PATH, content), len(rows))
        except SlotFailedError:
            self._proved_itself = False
            raise

    async def _call(self, method: str, path: str, content: bytes) -> bytes:
        """Return the slot's answer, after it was proved to be the slot's.

        :raises UnanswerableError: if the model has no finite answer.
        :raises SlotFailedError: if the slot does not answer, or somebody else does.
        """
        import httpx

        nonce, proof = self.secret.request_headers(method, path, content)
        try:
            answer = await self.client.request(
                method,
                self.address + path,
                content=content,
                headers={**proof, "Content-Type": "application/json"},
                follow_redirects=False,
            )
        except httpx.HTTPError as error:
            raise self._failed(f"did not answer ({type(error).__name__})") from error
        status, said = answer.status_code, answer.content
        if status not in (200, 422):
            raise self._failed(f"answered with status {status}")
        if not self.secret.proves_answer(answer.headers.get(PROOF_HEADER), nonce, status, said):
            raise self._failed("did not answer: something else does, without the proof of the slot")
        if status == 200:
            return said
        if _code_of(said) == UnanswerableError.default_code:
            raise UnanswerableError("the model has no answer to these rows")
        raise self._failed(f"answered with status {status}")

    def _failed(self, how: str) -> SlotFailedError:
        return SlotFailedError(f"version {self.plan.version} at {self.address} {how}")

    def _read(self, content: bytes, rows: int) -> Scores:
        width = len(self.schema.classes) if self.schema.answer is Answer.CLASS else 1
        try:
            said = json.loads(content)
            scores = [[float(value) for value in row] for row in said["scores"]]
            digest = said["digest"]
            if not is_finite(scores):
                raise ValueError("a score is not finite")
        except (ValueError, KeyError, TypeError) as error:
            raise self._failed("answered nonsense") from error
        if digest != self.plan.digest or len(scores) != rows or any(len(row) != width for row in scores):
            raise SlotFailedError(f"another version than {self.plan.version} answers at {self.address}")
        return scores


def _code_of(content: bytes) -> str | None:
    try:
        return str(json.loads(content)["code"])
    except (ValueError, KeyError, TypeError):
        return None
