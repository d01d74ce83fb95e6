"""``ApprovalQuestion``: a question to people that stays open until enough of those who may have answered."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import TaskAwaitingInput

from windsock.door.approvals import different_people, is_invisible, same_person
from windsock.exceptions import ApprovalRefusedError
from windsock.hooks.alerts import tell_findings
from windsock.hooks.task_alerts import refused_answer
from windsock.monitoring.alerts import Recipient
from windsock.operators.base import StepOperator, log_verdict
from windsock.operators.page import put_page
from windsock.operators.people import known_logins, who_answers_next
from windsock.records import Approval, Record, Status
from windsock.spec.loader import load_shared
from windsock.steps import StepResult, Verdict
from windsock.texts import inline

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger("windsock.task")

RESPONSE_TIMEOUT = timedelta(days=3)
ASKED_AGAIN = 10
"""Retries of a task that asks: Airflow takes an answer that is quicker than its scheduler for a fault.

Windsock's own refusals are not retried, so this is no more patience with them.
"""
REFUSED = "refused_answers"
"""XCom key of the answers that did not count."""
SHOWN = 20
"""Refused answers that are kept and shown; all are counted."""
TOO_LATE = "WS-APPROVAL-003"
OLD_PAGE = "WS-APPROVAL-010"
KEPT_PAGE = (
    "Several people must answer here, one after the other. Airflow keeps this page as it was put first: who "
    "has answered since is in the task's log."
)
STAYS_OPEN = frozenset({f"WS-APPROVAL-{number}" for number in ("003", "004", "005", "007", "008")})
"""Refusals that are about who answered: the next person may answer. Any other one ends the question."""


class ApprovalQuestion(StepOperator, ApprovalOperator):
    """Ask people, and hold no worker meanwhile.

    An answer by somebody who may not give it is refused, and the question is open again at once, until the
    time of the first asking is over. So it is after a yes where more people are needed. Refused answers are
    logged, counted, and kept in XCom (``refused_answers``).

    Template fields: none.

    :param approvers: user ids that may answer; empty: anyone with the permission. Airflow offers the question
        to no one else, nor to those of them whose yes would not count.
    :param response_timeout: how long to wait for all answers.
    """

    step: ClassVar[str] = "approve_model"
    ui_color = "#fce8e6"
    template_fields: Sequence[str] = ()

    def __init__(
        self,
        *,
        subject: str,
        approvers: Sequence[str] = (),
        response_timeout: timedelta = RESPONSE_TIMEOUT,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            subject=subject,
            assigned_users=_users(approvers),
            response_timeout=response_timeout,
            **kwargs,
        )
        self.approvers = tuple(approvers)

    def describe(self, context: Context, approval: Approval) -> None:
        """Set ``subject`` and ``body`` of the page that people see."""
        raise NotImplementedError

    def ask(self, context: Context, approval: Approval) -> NoReturn:
        """Open the question and wait.

        :param approval: what people have said so far.
        :raises ApprovalRefusedError: if fewer people may answer than are needed.
        :raises TaskAwaitingInput: Airflow's signal to wait.
        """
        if self.approvers:
            self.assigned_users = _users(self._who_may(approval))
        until = self.hook.ports().now() + (self.response_timeout or RESPONSE_TIMEOUT)
        self._open(context, approval, until, [])

    def answer(
        self,
        context: Context,
        event: Mapping[str, Any],
        content: Mapping[str, Any],
        *,
        until: str | None,
        refused: Sequence[Mapping[str, Any]] | None,
    ) -> StepResult:
        """Return what people have said with this answer, if that is the end of it; else ask on.

        :param event: Airflow's event of the answer.
        :param content: the step's input without the answer.
        :param until: when the first asking's time is over, as :meth:`ask` handed it over.
        :param refused: answers that were refused before.
        :raises ApprovalRefusedError: if the answer is refused for what it is about, or the time is over.
        """
        user = event.get("responded_by_user") or {}
        given = {
            **content,
            "answer": "approve" if event["chosen_options"][0] == self.APPROVE else "reject",
            "approver": user.get("name") or user.get("id"),
            "approver_id": user.get("id"),
            "answered_at": event.get("responded_at"),
        }
        ends = datetime.fromisoformat(until) if until else None
        ends = ends or self.hook.ports().now() + (self.response_timeout or RESPONSE_TIMEOUT)
        said = list(refused or [])
        try:
            self._require_listed(user)
            result = self.run(context, given)
        except ApprovalRefusedError as refusal:
            if refusal.code not in STAYS_OPEN:
                raise
            number = 1 + count_of(said)
            said = [*said[1 - SHOWN :], _told(number, given, refusal)]
            context["ti"].xcom_push(key=REFUSED, value={"count": number, "last": said})
            log.warning("%s: this answer is refused: %s", refusal.code, refusal.message)
        else:
            if not self.asks_on(result.record):
                return result
        standing = self.run(context, content)
        if isinstance(standing.record, Approval) and self.asks_on(standing.record):
            self._open(context, standing.record, ends, said)
        return standing

    def missing(self, approval: Approval) -> int:
        """Return how many people must still say yes here; where a later task asks, too, not those it asks."""
        return approval.needed - len(approval.approvers)

    def asks_on(self, record: Record) -> bool:
        """Return whether this task must ask, or ask on."""
        return isinstance(record, Approval) and is_waiting(record) and self.missing(record) > 0

    def _open(
        self, context: Context, approval: Approval, until: datetime, refused: Sequence[Mapping[str, Any]]
    ) -> NoReturn:
        left = until - self.hook.ports().now()
        if left <= timedelta(0):
            raise too_late(approval, refused)
        self.describe(context, approval)
        evidence = self.body or ""
        able = different_people(
            self.approvers or known_logins(), without=(*approval.barred, *approval.approvers)
        )
        self.body = "\n".join([evidence, "", *_people_lines(approval, until, refused, able)])
        if self.missing(approval) > 1:
            self.body += f"\n{KEPT_PAGE}"
        shown = put_page(
            ti_id=context["task_instance"].id,
            options=self.options,
            subject=self.subject,
            body=self.body,
            defaults=self.defaults,
            multiple=self.multiple,
            params=self.serialized_params,
            assigned_users=self.assigned_users,
        )
        if not shown.is_about(self.subject, evidence):
            raise ApprovalRefusedError(
                f"{approval.model} version {approval.version}: Airflow keeps the page that this task put "
                f"first ({shown.subject}), and it shows other evidence; nobody is asked by it",
                code=OLD_PAGE,
                next_action="Trigger the DAG anew: a new run has a page of its own.",
            )
        self._say_open(context, approval, until, refused)
        self.hitl_summary_extra["timeout_datetime"] = until.isoformat()
        for notifier in self.notifiers:
            notifier(context)
        kept = {"until": until.isoformat(), "refused": [dict(one) for one in refused]}
        raise TaskAwaitingInput(method_name="execute_complete", kwargs=kept, timeout=left)

    def _say_open(
        self, context: Context, approval: Approval, until: datetime, refused: Sequence[Mapping[str, Any]]
    ) -> None:
        why = f"{approval.reason}; a person is asked until {until:%Y-%m-%d %H:%M} UTC"
        if refused:
            last = refused[-1]
            why = f"the answer of {last['who']} was refused ({last['code']}: {last['why']}); {why}"
        ids = {"model": approval.model, "version": approval.version, "refused": str(count_of(refused) or "")}
        next_action = who_answers_next(context, approval, self.approvers, left=self.missing(approval))
        self.verdict = Verdict(word="HOLD", why=why, next_action=next_action, ids=ids)
        log_verdict(self.verdict, red=False)
        if refused:
            self._keep_refused(context, approval, refused[-1], next_action)

    def _keep_refused(
        self, context: Context, approval: Approval, last: Mapping[str, Any], next_action: str
    ) -> None:
        """Keep and tell that an answer did not count: who gave it takes the question for answered."""
        try:
            settings, spec = self.hook.settings(), self.model_spec()
            to, shared = Recipient.of(spec), load_shared(settings.shared_file)
            said = refused_answer(context, approval.model, approval.version, last, next_action)
            ports = self.hook.ports()
            tell_findings(to, shared, ports.monitor, [said], ports.now())
        except Exception as error:  # the question is open all the same
            log.warning("WS-ALERTS-002: the refused answer was not kept: %s", type(error).__name__)

    def _who_may(self, approval: Approval) -> list[str]:
        """Return the listed people whose yes would count.

        :raises ApprovalRefusedError: if they are fewer than are needed.
        """
        out = (*approval.barred, *approval.approvers)
        free = [user for user in self.approvers if not same_person((user,), out)]
        missing = approval.needed - len(approval.approvers)
        people = different_people(free, without=out)
        if len(people) < missing:
            raise ApprovalRefusedError(
                f"{approval.model} version {approval.version}: {missing} people must still approve "
                f"({approval.reason}), and the list of approvers names {len(people)} who may",
                code="WS-APPROVAL-009",
                next_action="Add people to `approvers` in windsock.yaml, then clear this task; or trigger "
                "the retrain by hand, with force.",
            )
        return free

    def _require_listed(self, user: Mapping[str, Any]) -> None:
        """See that who answered is on the list: an auth manager may let others answer, too."""
        if self.approvers and user.get("id") not in self.approvers:
            raise ApprovalRefusedError(
                f"{self._model_name()}: {user.get('name') or user.get('id') or 'nobody'} is not among the "
                "approvers of this tier",
                code="WS-APPROVAL-008",
            )


def is_waiting(record: Record) -> bool:
    """Return whether people are still needed."""
    return isinstance(record, Approval) and record.status is Status.INSUFFICIENT


def too_late(approval: Approval | None, refused: Sequence[Mapping[str, Any]] | None) -> ApprovalRefusedError:
    """Return the refusal of a question whose time is over."""
    count = count_of(refused)
    said = f"; {count} answers were refused, the last one of {refused[-1]['who']}" if refused else ""
    so_far = f" ({approval.reason})" if approval else ""
    return ApprovalRefusedError(
        f"nobody answered in time who may{so_far}; a timeout means no{said}"
        if refused
        else f"nobody answered in time{so_far}; a timeout means no",
        code=TOO_LATE,
        next_action=f"clear this task with what follows it: it asks anew, for {RESPONSE_TIMEOUT.days} days",
    )


def count_of(refused: Sequence[Mapping[str, Any]] | None) -> int:
    """Return how many answers were refused, those included that are not kept any more."""
    return int(refused[-1]["number"]) if refused else 0


def _users(names: Sequence[str]) -> list[Any] | None:
    return [{"id": user, "name": user} for user in names] or None


def _told(number: int, given: Mapping[str, Any], refusal: ApprovalRefusedError) -> dict[str, Any]:
    at = given.get("answered_at")
    return {
        "number": number,
        "who": "".join(one for one in given.get("approver") or "nobody" if not is_invisible(one)),
        "at": f"{at:%Y-%m-%d %H:%M} UTC" if isinstance(at, datetime) else "",
        "code": refusal.code,
        "why": refusal.message,
    }


def _people_lines(
    approval: Approval, until: datetime, refused: Sequence[Mapping[str, Any]], able: Sequence[str]
) -> list[str]:
    """Return what the page says of people: who has, who may, who may not, whose answer was refused."""
    lines = [f"- so far: {inline(approval.reason)}; asked until {until:%Y-%m-%d %H:%M} UTC"]
    times = {one.who: f", {one.at:%Y-%m-%d %H:%M} UTC" for one in approval.given}
    lines += [f"- approved by: {inline(who)}{times.get(who, '')}" for who in approval.approvers]
    if able:
        lines.append(f"- may answer: {', '.join(map(inline, able))}")
    if approval.barred:
        lines.append(f"- cannot approve, having asked for it: {', '.join(map(inline, approval.barred))}")
    lines += [
        f"- refused: {inline(one['who'])}, {one['at']}, {inline(one['code'])}: {inline(one['why'])}"
        for one in refused
    ]
    lines += ["", "An answer that does not count is refused and the question stays open; the log says why."]
    return lines
