"""The typed exceptions of Windsock.

::

    WindsockError
     ├─ SpecError             a model's YAML file is wrong
     ├─ SettingsError         the installation is set up wrongly
 │   └─ DatabaseRefusedError    the control database refuses what is needed: never retried
     ├─ NotBuiltError         the spec asks for something this version cannot do yet
     ├─ VerdictError          a check said no: never retried
     │   ├─ DataRefusedError       the data cannot be used
     │   ├─ TrainingRefusedError   the data cannot train this model
     │   ├─ GateRefusedError       the governance gate said no
     │   ├─ ApprovalRefusedError   a person said no, or the wrong person said yes
     │   ├─ DeploymentRefusedError a new version did not answer as it must
     │   │   └─ SlotAddressError       no deployment of the target made a slot's address
     │   ├─ RolloutRefusedError    a rollout cannot do what was asked of it
     │   ├─ ForeignModelError      the registered model is another installation's
     │   ├─ TrackingRefusedError   MLflow's registry cannot number another version
     │   └─ MissingModelError      the run has no finished model to make a version of
     ├─ MonitoringError       a window, its labels or its report cannot be judged
     ├─ NotCompilableError    a fitted pipeline has no compiled form: scikit-learn serves it
     ├─ UnverifiedBundleError a bundle's signature, digest or content is not what it must be
     │   └─ LostBundleError        its folder is gone from a storage that is there
     ├─ UnverifiedSnapshotError a stored snapshot is not what was written
     │   └─ RemovedSnapshotError   the retention has removed it
     ├─ StaleEpochError       another change of the route or the ledger came first
     └─ TransportError        something did not answer: worth a retry
         ├─ SourceUnavailableError
         ├─ TrackingUnavailableError
         ├─ ServerUnavailableError
         ├─ DatabaseUnavailableError
         └─ StorageError           disk full, no permission, object store away

Every message says what failed, the value seen, the limit, and what to do next. ``code`` is a
stable word (``WS-<ROOM>-<nnn>``) that the runbook explains.
"""

from __future__ import annotations

import re
from typing import ClassVar

from windsock.texts import several_lines

OF_A_TASK = re.compile(
    r", then clear this task|(?<=\.) Then clear this task\.|; the task will be retried"
    r"|^The task will be retried\. "
)
"""What of a next action is for who looks at a failed task."""


class WindsockError(Exception):
    """Base of every error that Windsock raises on purpose.

    :param message: what failed, with the value seen and the limit; one or a few plain sentences. Of what it
        holds of a person's text no line stands at the margin, and a terminal obeys none of it.
    :param code: stable code of the case, explained in ``docs/runbook.md``.
    :param next_action: what the reader should do now; one imperative sentence.
    """

    default_code: ClassVar[str] = "WS-CORE-001"
    default_next: ClassVar[str] = "Read the message, mend the cause and run it again."

    def __init__(self, message: str, *, code: str | None = None, next_action: str | None = None) -> None:
        message = several_lines(message)
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.next_action = several_lines(next_action) if next_action else self.default_next

    @property
    def next_by_hand(self) -> str:
        """Return the next action for a reader who has no task: of a command, a page, a finding."""
        return OF_A_TASK.sub("", self.next_action)

    def __str__(self) -> str:
        return f"{self.code}: {self.message} Next: {self.next_action}"


class SpecError(WindsockError, ValueError):
    """A model's YAML file cannot be used.

    :param message: what is wrong and what would be right.
    :param file: the file, as the user named it.
    :param line: 1-based line of the fault, where there is one.
    :param key: dotted path of the key at fault, such as ``training.schedule``.
    """

    default_code = "WS-SPEC-001"
    default_next = "Mend the file; `windsock validate PATH` checks it without running anything."

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        key: str | None = None,
        code: str | None = None,
        next_action: str | None = None,
    ) -> None:
        place = ":".join(str(part) for part in (file, line) if part is not None)
        named = f"{key}: {message}" if key else message
        super().__init__(f"{place}: {named}" if place else named, code=code, next_action=next_action)
        self.file = file
        self.line = line
        self.key = key


class SettingsError(WindsockError, ValueError):
    """The installation's settings, keys or connections are missing or wrong."""

    default_code = "WS-SETTINGS-001"
    default_next = "Set the named setting, then run it again."


class DatabaseRefusedError(SettingsError):
    """The control database refuses what is needed: a right, a schema or a name is missing."""

    default_code = "WS-DATABASE-005"
    default_next = "Fix what the database names, as its administrator, then run it again."


class NotBuiltError(WindsockError, NotImplementedError):
    """The spec asks for something that this version of Windsock cannot do."""

    default_code = "WS-SPEC-009"
    default_next = "Choose one of the named alternatives in the model's YAML file."


class VerdictError(WindsockError):
    """A check said no. Running it again would say no again."""

    default_code = "WS-CORE-002"


class DataRefusedError(VerdictError, ValueError):
    """The source or the snapshot cannot be used as it is."""

    default_code = "WS-DATA-001"
    default_next = "Mend the data at its source or the `data` block of the model's YAML file."


class TrainingRefusedError(VerdictError, ValueError):
    """The data cannot train the model that the spec asks for."""

    default_code = "WS-TRAINING-001"
    default_next = "Mend the data or the `training` block of the model's YAML file."


class NotCompilableError(WindsockError, ValueError):
    """A fitted pipeline has no compiled form; scikit-learn serves it."""

    default_code = "WS-TRAINING-016"
    default_next = "Nothing has to be done: scikit-learn serves it, more slowly."


class ForeignModelError(VerdictError):
    """The registered model in MLflow is another installation's, or nobody can tell whose."""

    default_code = "WS-TRACKING-008"
    default_next = "Give the model another name, or this installation another MLflow."


class TrackingRefusedError(VerdictError):
    """MLflow's registry cannot give a version a number that was never used."""

    default_code = "WS-TRACKING-009"


class MonitoringError(WindsockError):
    """A window of the prediction log, its labels or its report cannot be judged as asked."""

    default_code = "WS-MONITORING-001"
    default_next = "Read the message; the model that serves is untouched."


class GateRefusedError(VerdictError):
    """The governance gate said no; the decision is recorded."""

    default_code = "WS-GATE-001"
    default_next = "Read the failed checks; mend the model or ask the owner of the policy."


class ApprovalRefusedError(VerdictError):
    """The approval is missing, refused, late, or given by a person who may not give it."""

    default_code = "WS-APPROVAL-001"
    default_next = "Clear `approve_model` with what follows it; its log names who may answer, and where."


class DeploymentRefusedError(VerdictError):
    """A new version did not answer health, version or golden predictions; the old one still serves."""

    default_code = "WS-DEPLOYMENT-001"
    default_next = "Read the server's log; the version that served before still serves."


class SlotAddressError(DeploymentRefusedError):
    """A plan names an address that no signed deployment of the target made; nothing is sent there."""

    default_code = "WS-SLOT-001"
    default_next = (
        "Clear deploy_model of this version: it starts the slot and signs its address. If nobody deployed it "
        "there, find out who wrote the plan."
    )


class RolloutRefusedError(VerdictError):
    """A rollout cannot do what was asked of it; the traffic is as it was."""

    default_code = "WS-ROLLOUT-001"
    default_next = "Look at `windsock rollout status NAME`; nothing was changed."


class MissingModelError(VerdictError):
    """The run has no finished model, so no version can be made of it."""

    default_code = "WS-TRACKING-005"
    default_next = "Run the retrain DAG with `force`: it trains and logs the model again."


class UnverifiedBundleError(WindsockError):
    """A model bundle is not what was signed, or asks for types that are not allowed."""

    default_code = "WS-BUNDLE-001"
    default_next = (
        "Do not load it; find out who changed the files, and bring them back from a backup. A candidate is "
        "trained anew by a run of the retrain DAG with `force`; in place of a champion an earlier one serves "
        "after `windsock rollback NAME`."
    )


class LostBundleError(UnverifiedBundleError):
    """A model bundle's folder is gone, though the storage root that it was written to is there."""


class UnverifiedSnapshotError(WindsockError):
    """A stored snapshot is not what was written: somebody or something changed its files."""

    default_code = "WS-STORAGE-007"
    default_next = "Find out who changed it; remove that folder and take the snapshot again."


class RemovedSnapshotError(UnverifiedSnapshotError):
    """A stored snapshot is gone because the retention has removed it, as nothing needed it any more."""

    default_code = "WS-DATA-181"
    default_next = (
        "Take the snapshot again: the same rows have the same digest; or restore its folder from a backup. "
        "`retention.snapshots` in include/windsock.yaml says how long they are kept."
    )


class StaleEpochError(WindsockError):
    """Another routing change or ledger row came first; nothing was changed by this one."""

    default_code = "WS-LEDGER-001"
    default_next = "Look at `windsock ledger NAME`; ask for the change again if it is still wanted."


class TransportError(WindsockError, RuntimeError):
    """A system that Windsock needs did not answer. A retry may help."""

    default_code = "WS-TRANSPORT-001"
    default_next = "Nothing is lost; the task will be retried. See that the named system is up."


class SourceUnavailableError(TransportError):
    """The data source did not answer."""

    default_code = "WS-DATA-002"


class TrackingUnavailableError(TransportError):
    """MLflow did not answer."""

    default_code = "WS-TRACKING-001"


class ServerUnavailableError(TransportError):
    """The serving app did not answer."""

    default_code = "WS-SERVING-001"
    default_next = "Start it with `windsock serve`, or all of it with `windsock up`, then clear this task."


class DatabaseUnavailableError(TransportError):
    """Windsock's control database did not answer."""

    default_code = "WS-DATABASE-001"


class SchedulerUnavailableError(TransportError):
    """Airflow did not say what it was asked for from within a task."""

    default_code = "WS-WATCH-002"
    default_next = "See that the API server answers; the next look of windsock__watchdog asks again."


class StorageError(TransportError):
    """The storage root cannot be read or written: disk full, no permission, object store away."""

    default_code = "WS-STORAGE-001"
    default_next = (
        "Free some space or mend the permission, then clear this task; nothing half-written is left."
    )
