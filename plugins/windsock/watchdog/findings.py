"""What cannot work in an installation: every fact is read, and one that cannot be read hides no other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeVar

from windsock.exceptions import StorageError
from windsock.ports import Ports
from windsock.records import (
    INSTALLATION,
    Alert,
    Champion,
    Condition,
    DagFacts,
    Episode,
    EpisodeState,
    LedgerRow,
    OpenQuestion,
    PartFacts,
    Rollout,
    Severity,
    Span,
    champion_of,
    running_rollout,
    waiting_rows,
)
from windsock.records.retraining import Lease, open_episode
from windsock.spec import ModelSpec
from windsock.watchdog import loop_findings as loop
from windsock.watchdog import system_findings as system
from windsock.watchdog.airflow_answers import AirflowAnswers
from windsock.watchdog.bounded import NoAnswer, ask
from windsock.watchdog.finding import finding
from windsock.watchdog.loop_dags import (
    INSTALLATION_DAGS,
    Waiting,
    dag_conditions,
    installation_dag_condition,
    loop_dags,
)
from windsock.watchdog.turns import is_turn_of_large

Result = TypeVar("Result")

SECONDS = 5.0
"""How long one system has to answer; what takes longer is a finding."""
RECENT_WINDOWS = 64


@dataclass
class Findings:
    """What was found.

    :ivar conditions: by model; what is about no single one under :data:`~windsock.records.INSTALLATION`.
    :ivar unknown: what could not be asked, one sentence each.
    """

    conditions: dict[str, list[Condition]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def add(self, model: str, *found: Condition | None) -> None:
        """Keep what was found about a model; ``None`` says nothing."""
        self.conditions.setdefault(model, []).extend(one for one in found if one is not None)

    def read(self, what: str, call: Callable[[], Result], otherwise: Result) -> Result:
        """Return what a call comes to within seconds; else keep why there is nothing."""
        answer = ask(call, SECONDS)
        if isinstance(answer, NoAnswer):
            self.unknown.append(f"{what}: {answer.why}")
            return otherwise
        return answer


def find(
    specs: Sequence[ModelSpec],
    broken: Sequence[str],
    ports: Ports,
    airflow: AirflowAnswers,
    *,
    only: str | None = None,
    in_turn: Callable[[str], bool] = lambda _: True,
) -> Findings:
    """Return what may be wrong with an installation and its models, and what could not be asked.

    Each system has a few seconds to answer; a model that cannot be looked at hides no other.

    :param specs: the models whose files can be read.
    :param broken: one sentence for each that cannot.
    :param only: look at this model alone, and at the installation.
    :param in_turn: whether it is a model's turn to be looked at; another one is if an episode of it is open,
        and only what cannot wait is asked then.
    """
    found, now = Findings(), ports.now()
    found.add(INSTALLATION, system.files_condition(broken))
    serves, mirrors = _systems(found, ports)
    _installation_dags(found, airflow)
    listed = ask(ports.ledger.models, SECONDS)
    if isinstance(listed, NoAnswer):
        found.add(INSTALLATION, database_condition(listed.why, listed.next_action))
        found.add(INSTALLATION, system.unknown_condition(found.unknown))
        return found
    found.add(INSTALLATION, database_condition("", ""))
    no_alerts: tuple[Alert, ...] = ()
    own = found.read("the installation's alerts", partial(ports.monitor.alerts, INSTALLATION), no_alerts)
    found.add(INSTALLATION, loop.pending_condition(INSTALLATION, own, now))
    no_episodes: tuple[Episode, ...] = ()
    opened = found.read("open episodes", ports.monitor.open_episodes, no_episodes)
    urgent = {one.model for one in opened}
    by_name: dict[str, ModelSpec | None] = {**dict.fromkeys(listed), **{spec.name: spec for spec in specs}}
    for model, spec in sorted(by_name.items()):
        if only in (None, model) and (in_turn(model) or model in urgent):
            look = partial(_Look(found, ports, airflow, now).at, model, spec, in_turn(model), serves, mirrors)
            try:
                look()
            except Exception as error:  # the others have their look all the same
                code = getattr(error, "code", type(error).__name__)
                found.unknown.append(f"{model}: {code}: {getattr(error, 'message', 'unexpected')}")
    found.add(INSTALLATION, system.unknown_condition(found.unknown))
    return found


def database_condition(why: str, next_action: str) -> Condition:
    """Return whether the control database does not answer.

    :param why: why not; empty: it does.
    """
    return finding(
        "database",
        "WS-WATCH-034",
        Severity.CRITICAL,
        "the control database does not answer",
        active=bool(why),
        wrong=f"{why.rstrip('.')}. The server goes on serving; nothing else works.",
        well="The control database answers.",
        next_action=next_action or "see that it runs and can be reached",
    )


def _systems(found: Findings, ports: Ports) -> tuple[bool, bool]:
    """Add what is wrong with the systems; return whether the server and MLflow answer."""
    around = ports.surroundings
    server = found.read("the server", around.server, None)
    if server is not None:
        found.add(INSTALLATION, *system.server_conditions(server))
    address, why = found.read("MLflow", around.tracking, ("its address", "it hangs"))
    found.add(INSTALLATION, system.mlflow_condition(address, why))
    found.add(INSTALLATION, system.key_condition(found.read("the signing key", around.no_key, "")))
    spaces = found.read("free space", around.spaces, None)
    if spaces is not None:
        found.add(INSTALLATION, system.space_condition(spaces))
    unwritable = found.read("whether folders can be written", around.unwritable, None)
    if unwritable is not None:
        found.add(INSTALLATION, system.unwritable_condition(unwritable))
    return server is not None and bool(server.status), not why


def _installation_dags(found: Findings, airflow: AirflowAnswers) -> None:
    facts = {one: airflow.dag(one) for one in INSTALLATION_DAGS}
    _keep_unknown(found, facts)
    found.add(INSTALLATION, *installation_dag_condition(facts))
    no_parts: Sequence[PartFacts] | None = None
    silent = found.read("the health of Airflow's programs", airflow.silent_parts, no_parts)
    if silent is not None:
        found.add(INSTALLATION, system.parts_condition(silent))


def _keep_unknown(found: Findings, facts: Mapping[str, DagFacts]) -> None:
    why: dict[str, list[str]] = {}
    for one in facts.values():
        if one.unknown:
            why.setdefault(one.unknown, []).append(one.dag_id)
    for reason, dags in why.items():
        said = f"Airflow: {reason}"
        if said not in found.unknown and not any(said in one for one in found.unknown):
            found.unknown.append(f"{dags[0]}{f' and {len(dags) - 1} more' if len(dags) > 1 else ''}: {said}")


@dataclass
class _Look:
    """One look at one model."""

    found: Findings
    ports: Ports
    airflow: AirflowAnswers
    now: datetime

    def at(self, model: str, spec: ModelSpec | None, in_turn: bool, serves: bool, mirrors: bool) -> None:
        """Add what may be wrong with a model.

        :param spec: ``None``: it has rows in the ledger and no file that can be read.
        :param serves: whether the server answers.
        :param mirrors: whether MLflow does.
        """
        ports, now = self.ports, self.now
        view = ports.ledger.read(model)
        rows = view.rows
        champion, rollout = champion_of(rows), running_rollout(rows)
        alerts = ports.monitor.alerts(model)
        self._add(model, loop.ledger_condition(model, view), loop.pending_condition(model, alerts, now))
        if champion is not None and serves:
            unknown = object()
            state = self.found.read(
                f"what the server serves for {model}", partial(ports.router.state, model), unknown
            )
            if state is not unknown:
                self._add(model, loop.route_condition(model, champion, rows, state, now))  # type: ignore[arg-type]
        if champion is not None and mirrors and in_turn:
            call = partial(ports.surroundings.alias, model)
            alias = self.found.read(f"MLflow's alias of {model}", call, None)
            if alias is not None:
                self._add(model, loop.alias_condition(model, champion, rows, alias, now))
        if champion is not None and in_turn:
            self._add(model, self._bundle(champion))
        last = ports.rollouts.last(model, rollout.experiment) if rollout is not None else None
        self._add(model, loop.rollout_condition(model, rollout, last, now))
        if spec is not None:
            self._loop(spec, rows, rollout, in_turn, serves=champion is not None)

    def _bundle(self, champion: Champion) -> Condition | None:
        """Return whether the champion's bundle is damaged; ``None``: it was not looked at."""
        call = partial(
            self.ports.surroundings.broken_bundle,
            champion.bundle_uri,
            champion.digest,
            large=is_turn_of_large(champion.model, self.now),
        )
        why = self.found.read(f"the bundle of {champion.model} version {champion.version}", call, None)
        return loop.bundle_condition(champion, why) if why is not None else None

    def _add(self, model: str, *conditions: Condition | None) -> None:
        self.found.add(model, *conditions)

    def _loop(
        self,
        spec: ModelSpec,
        rows: Sequence[LedgerRow],
        rollout: Rollout | None,
        in_turn: bool,
        *,
        serves: bool,
    ) -> None:
        model, ports, now = spec.name, self.ports, self.now
        since = now - RECENT_WINDOWS * spec.monitoring.window_length
        judged = ports.monitor.windows(model, since=since) or ports.monitor.windows(model)
        episodes, lease = ports.monitor.episodes(model), ports.monitor.lease(model)
        with_rows = self._with_rows(model, loop.unjudged_spans(spec, judged, rows, now))
        waiting: dict[str, str] = {}
        episode = open_episode(episodes)
        if episode is not None and episode.state is EpisodeState.ANNOUNCED:
            asks = f"Episode {episode.key} asks for a retrain ({episode.trigger})"
            waiting["drift_retrain"] = f"{asks} since {loop.at(episode.opened_at)}"
        if with_rows:
            waiting["monitor"] = f"{len(with_rows):,} closed windows with rows have no verdict"
        if rollout is not None:
            waiting["ab_rollout"] = f"Rollout {rollout.experiment} of {rollout.named} is under way"
        elif queued := waiting_rows(rows, most=max(1, spec.rollout.challengers)):
            waiting["ab_rollout"] = f"Version {queued[-1].version} waits for its rollout"
        dags = [one for one in loop_dags(spec) if in_turn or one.suffix in waiting]
        facts = {one.dag_id: self.airflow.dag(one.dag_id) for one in dags}
        _keep_unknown(self.found, facts)
        self._add(model, *dag_conditions(spec, facts, Waiting(waiting, serves)))
        blocked = {name for name, one in facts.items() if one.is_off or one.is_missing}
        self._add(
            model,
            loop.unjudged_condition(spec, () if f"{model}__monitor" in blocked else with_rows, now),
            loop.episode_condition(
                model,
                episodes,
                lease,
                now,
                is_blocked=f"{model}__drift_retrain" in blocked,
                is_silent=f"{model}__monitor" in blocked,
            ),
        )
        run = None
        if lease is not None and not lease.is_over(now):
            run = self.airflow.run(lease.holder)
        self._add(model, loop.claim_condition(model, lease, run, now))
        self._add(model, loop.question_condition(model, self._questions(model, rollout, lease), now))
        logged = self.found.read(
            f"the prediction log of {model}", partial(ports.surroundings.newest_hour, model), None
        )
        self._add(
            model,
            system.clock_condition(
                model,
                now,
                rows=rows[-100:],
                windows=judged,
                episodes=episodes[-20:],
                logged=logged,
            ),
        )

    def _with_rows(self, model: str, spans: Sequence[Span]) -> tuple[Span, ...]:
        if not spans:
            return ()
        try:
            empty = self.ports.counter.without_rows(model, spans)
        except StorageError as error:
            self.found.unknown.append(f"the prediction log of {model}: {error.code}: {error.message}")
            return ()
        return tuple(span for span in spans if span not in empty)

    def _questions(
        self, model: str, rollout: Rollout | None, lease: Lease | None
    ) -> tuple[OpenQuestion, ...]:
        asked = [loop.until_claim_ends(one, lease) for one in self.airflow.questions(model)]
        # Once it was answered, the rollout was asked about until then: that is past and no question.
        if rollout is not None and rollout.asked_until is not None and rollout.asked_until > self.now:
            asked.append(
                OpenQuestion(
                    model=model,
                    about=f"whether {rollout.named} is promoted",
                    task=f"{model}__ab_rollout/{rollout.asked_by or '-'}/approve_promotion",
                    until=rollout.asked_until,
                )
            )
        return tuple(asked)
