"""The first look at a bundle, in a process of its own: a crafted model may crash whoever asks it."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from windsock.adapters.own_process import command_of
from windsock.exceptions import (
    DeploymentRefusedError,
    ServerUnavailableError,
    StorageError,
    TransportError,
    WindsockError,
)
from windsock.records import ProbeResult, SlotPlan
from windsock.serving.bundles import BundleShelf
from windsock.serving.slots import compare_golden, compiled_scores, golden_values, pipeline_scores
from windsock.settings import Settings

LIMIT_SECONDS = 90.0
STARVED = 1 / 3
"""Share of the time that a process has waited for a processor, from which its silence says nothing."""
SENT_BY_OTHERS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL}
"""By which a system ends a process, at a shutdown or for want of memory: they say nothing of a bundle."""
UNREFUSED = "The version that served before still serves. Look at the bundle; train the model again."


def make_shelf(settings: Settings) -> BundleShelf:
    """Return the server's copies of bundles, verified by the installation's keys.

    A bundle is signed when it is trained; only its evidence says that it passed the gate.
    """
    from windsock.adapters.bundle_store import SignedBundleStore
    from windsock.adapters.evidence_copies import EvidenceCopies
    from windsock.adapters.storage import Storage

    storage = Storage(settings.storage_url)
    store = SignedBundleStore(storage, settings.keys_dir)
    evidence = EvidenceCopies(storage, settings.serving_dir, settings.keys_dir)
    return BundleShelf(settings.serving_dir, store, evidence)


def check_bundle(shelf: BundleShelf, model: str, plan: SlotPlan) -> ProbeResult:
    """Fetch, verify and load a slot's bundle, then ask it for its golden predictions.

    The fitted pipeline is asked first, then its compiled form, where it has one: both must match.

    :raises WindsockError: if it does not verify, load or answer.
    """
    bundle = shelf.load(plan, model, whole=True)
    rows = golden_values(bundle)
    probe = compare_golden(bundle.golden, pipeline_scores(bundle, rows), plan.version)
    if not probe.matched or bundle.compiled is None:
        return probe
    return compare_golden(bundle.golden, compiled_scores(bundle.compiled, rows), plan.version)


async def check_apart(
    settings: Settings, model: str, plan: SlotPlan, *, limit_seconds: float = LIMIT_SECONDS
) -> None:
    """Check a slot's bundle in a process of its own.

    :param limit_seconds: time after which it is refused.
    :raises DeploymentRefusedError: if it does not verify, load, answer in time or match.
    :raises ServerUnavailableError: if the process was ended from outside, or the machine was too busy for it.
    :raises StorageError: if it could not be fetched.
    """
    asked = {
        "settings": settings.model_dump(mode="json"),
        "model": model,
        "slot": plan.model_dump(mode="json"),
    }
    process = await asyncio.create_subprocess_exec(
        *command_of("windsock.serving.check_bundle"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(json.dumps(asked).encode()), limit_seconds)
    except TimeoutError:
        waited = _waited_seconds(process.pid)
        if waited >= limit_seconds * STARVED:
            raise _starved(plan, waited, limit_seconds) from None
        raise _refused(plan, f"no answer to its golden predictions within {limit_seconds:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    _read(plan, process.returncode or 0, said)


def _read(plan: SlotPlan, status: int, said: bytes) -> None:
    try:
        answer = json.loads(said)
    except ValueError:
        if -status in SENT_BY_OTHERS:
            raise _interrupted(plan, signal.Signals(-status)) from None
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        raise _refused(plan, f"the process that loaded it ended {how}") from None
    if "probe" in answer:
        probe = ProbeResult.model_validate(answer["probe"])
        if not probe.matched:
            raise _refused(
                plan,
                f"{probe.rows} golden predictions differ by up to {probe.largest_difference:g}; "
                f"{probe.message}",
            )
        return
    if answer["transport"]:
        raise StorageError(answer["error"], code=answer["code"], next_action=answer["next"])
    raise _refused(plan, answer["error"], code=answer["code"], next_action=answer["next"])


def _interrupted(plan: SlotPlan, by: signal.Signals) -> ServerUnavailableError:
    return ServerUnavailableError(
        f"version {plan.version}, bundle {plan.digest[:12]}: the process that loaded it was ended by "
        f"{by.name} from outside, so it was not judged",
        code="WS-SERVING-067",
        next_action="The task will be retried. If it ends so again, the server's machine lacks memory: give "
        "it more, or train a smaller model.",
    )


def _starved(plan: SlotPlan, waited: float, limit: float) -> ServerUnavailableError:
    return ServerUnavailableError(
        f"version {plan.version}, bundle {plan.digest[:12]}: the server's machine was too busy to look at "
        f"it: of {limit:g} s it waited {waited:.0f} s for a processor, so it was not judged",
        code="WS-SERVING-068",
        next_action="The task will be retried. If it ends so again, see what else runs on the server's "
        "machine.",
    )


def _waited_seconds(pid: int) -> float:
    """Return how long a process has been ready to run and had no processor; 0 where nobody counts that.

    Linux counts it for each thread, in the second number of ``schedstat`` (in nanoseconds).
    """
    found = [0.0]
    for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError, ValueError, IndexError):
            found.append(int(task.read_text().split()[1]) / 1e9)
    return max(found)


def _refused(
    plan: SlotPlan, why: str, *, code: str = "WS-SERVING-009", next_action: str = UNREFUSED
) -> DeploymentRefusedError:
    return DeploymentRefusedError(
        f"version {plan.version}, bundle {plan.digest[:12]}: {why}", code=code, next_action=next_action
    )


def main() -> None:
    """Check the bundle named on the standard input and print what came of it."""
    import resource

    gc.disable()  # nearly all that is made here is libraries and a model, which stay until it ends
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    asked = json.load(sys.stdin)
    try:
        settings, slot = Settings.model_validate(asked["settings"]), SlotPlan.model_validate(asked["slot"])
        probe = check_bundle(make_shelf(settings), asked["model"], slot)
        answer: dict[str, Any] = {"probe": probe.model_dump(mode="json")}
    except WindsockError as error:
        transport = isinstance(error, TransportError)
        answer = {
            "error": error.message,
            "code": error.code,
            "next": error.next_action,
            "transport": transport,
        }
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
    os._exit(0)  # whatever the bundle left behind does not run
