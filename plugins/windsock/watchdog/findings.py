"""What cannot work in an installation: every fact is read, and one that cannot be read hides no other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeVar

from windsock.exceptions import WindsockError
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
    Rollout,
    Severity,
    Span,
    WindowVerdict,
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
from windsock.watchdog.outdated import outdated
from windsock.watchdog.turns import is_turn_of_large

Result = TypeVar("Result")

SECONDS = 5.0
"""How long one system has to answer; what takes longer is a finding."""
RECENT_WINDOWS = 64
NOT_SAID = "Airflow does not say"


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

    def add_if(self, known: bool, model: str, one: Condition) -> None:
        """Keep what was found; of a part of the facts only that something is wrong: that ends by all of them.

        :param known: whether all facts are known.
        """
        self.add(model, one if known or one.active else None)

    def say(self, what: str) -> None:
        """Keep that something could not be asked, once."""
        if what not in self.unknown:
            self.unknown.append(what)

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
    own, is_all = _alerts(found, ports, INSTALLATION)
    found.add_if(is_all, INSTALLATION, loop.pending_condition(INSTALLATION, own, now))
    found.add_if(is_all, INSTALLATION, system.clock_condition(INSTALLATION, now, alerts=own))
    no_episodes: tuple[Episode, ...] = ()
    opened = found.read("open episodes", ports.monitor.open_episodes, no_episodes)
    urgent = {one.model for one in opened}
    nobody: Collection[str] = ()
    alerted = set(found.read("which models have alerts", ports.monitor.alerted, nobody)) - {INSTALLATION}
    named = dict.fromkeys({*listed, *alerted})
    by_name: dict[str, ModelSpec | None] = {**named, **{spec.name: spec for spec in specs}}
    for model, spec in sorted(by_name.items()):
        if only in (None, model) and (in_turn(model) or model in urgent):
            look = partial(
                _Look(found, ports, airflow, now, bool(broken)).at,
                model,
                spec,
                in_turn(model),
                serves,
                mirrors,
            )
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
    no_answer: tuple[str, str] | None = None
    mlflow = found.read("MLflow", around.tracking, no_answer)
    if mlflow is not None:
        found.add(INSTALLATION, system.mlflow_condition(*mlflow))
    unread: str | None = None
    no_key = found.read("the signing key", around.no_key, unread)
    if no_key is not None:
        found.add(INSTALLATION, system.key_condition(no_key))
    spaces = found.read("free space", around.spaces, None)
    if spaces is not None:
        found.add(INSTALLATION, system.space_condition(spaces))
    unwritable = found.read("whether folders can be written", around.unwritable, None)
    if unwritable is not None:
        found.add(INSTALLATION, system.unwritable_condition(unwritable))
    return server is not None and bool(server.status), mlflow is not None and not mlflow[1]


def _alerts(found: Findings, ports: Ports, model: str) -> tuple[tuple[Alert, ...], bool]:
    """Return the alerts of a model that can be read, and whether these are all."""
    no_alerts: tuple[Alert, ...] | None = None
    alerts = found.read(f"the alerts of {model}", partial(ports.monitor.alerts, model), no_alerts)
    if alerts is None:
        return (), False
    nobody_knows: int | None = None
    unreadable = partial(ports.monitor.unreadable_alerts, model)
    lost = found.read(f"the alerts of {model}", unreadable, nobody_knows)
    if lost:
        found.say(f"{model}: WS-MONITORING-051: {lost:,} rows of its alerts cannot be read")
    return alerts, lost == 0


def _installation_dags(found: Findings, airflow: AirflowAnswers) -> None:
    facts = {one: airflow.dag(one) for one in INSTALLATION_DAGS}
    _keep_unknown(found, facts)
    found.add(INSTALLATION, *installation_dag_condition(facts))
    answer = ask(airflow.silent_parts, SECONDS)
    why = answer.why if isinstance(answer, NoAnswer) else NOT_SAID
    if answer is None or isinstance(answer, NoAnswer):
        found.say(f"the health of Airflow's programs: {why}")
    else:
        found.add(INSTALLATION, system.parts_condition(answer))


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
    """One look at one model.

    :param is_broken: whether there are files that cannot be read: nobody knows then which model has none.
    """

    found: Findings
    ports: Ports
    airflow: AirflowAnswers
    now: datetime
    is_broken: bool

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
        alerts, is_all = _alerts(self.found, ports, model)
        self._add(model, loop.ledger_condition(model, view))
        self.found.add_if(is_all, model, loop.pending_condition(model, alerts, now))
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
            dated = self._loop(spec, rows, rollout, in_turn, serves=champion is not None)
            self._clock(model, rows, *dated, alerts, is_all=is_all)
        if spec is not None or not self.is_broken:
            firing = [one for one in alerts if one.state == "firing"]
            self._add(model, *outdated(firing, model, spec))

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
    ) -> tuple[Sequence[WindowVerdict], Sequence[Episode]]:
        """Add what of a model's loop has stopped; return the windows and episodes that were read."""
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
        unsure = ("monitor",) if with_rows is None else ()
        if with_rows:
            waiting["monitor"] = f"{len(with_rows):,} closed windows with rows have no verdict"
        if rollout is not None:
            waiting["ab_rollout"] = f"Rollout {rollout.experiment} of {rollout.named} is under way"
        elif queued := waiting_rows(rows, most=max(1, spec.rollout.challengers)):
            waiting["ab_rollout"] = f"Version {queued[-1].version} waits for its rollout"
        dags = [one for one in loop_dags(spec) if in_turn or one.suffix in waiting or one.suffix in unsure]
        facts = {one.dag_id: self.airflow.dag(one.dag_id) for one in dags}
        _keep_unknown(self.found, facts)
        self._add(model, *dag_conditions(spec, facts, Waiting(waiting, serves, unsure)))
        blocked = {name for name, one in facts.items() if one.is_off or one.is_missing}
        if with_rows is not None:
            spans = () if f"{model}__monitor" in blocked else with_rows
            self._add(model, loop.unjudged_condition(spec, spans, now))
        self._add(
            model,
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
        questions, is_all = self._questions(model, rollout, lease)
        self.found.add_if(is_all, model, loop.question_condition(model, questions, now))
        return judged, episodes

    def _clock(
        self,
        model: str,
        rows: Sequence[LedgerRow],
        windows: Sequence[WindowVerdict],
        episodes: Sequence[Episode],
        alerts: Sequence[Alert],
        *,
        is_all: bool,
    ) -> None:
        """Add whether a clock was ahead.

        :param is_all: whether these are all of the model's alerts.
        """
        answer = ask(partial(self.ports.surroundings.newest_hour, model), SECONDS)
        if isinstance(answer, NoAnswer):
            self.found.say(f"the prediction log of {model}: {answer.why}")
        condition = system.clock_condition(
            model,
            self.now,
            rows=rows[-100:],
            windows=windows,
            episodes=episodes[-20:],
            alerts=alerts,
            logged=None if isinstance(answer, NoAnswer) else answer,
        )
        self.found.add_if(is_all and not isinstance(answer, NoAnswer), model, condition)

    def _with_rows(self, model: str, spans: Sequence[Span]) -> tuple[Span, ...] | None:
        """Return the windows in which the log has rows; ``None``: nobody knows."""
        if not spans:
            return ()
        try:
            empty = self.ports.counter.without_rows(model, spans)
        except WindsockError as error:
            self.found.say(f"the prediction log of {model}: {error.code}: {error.message}")
            return None
        return tuple(span for span in spans if span not in empty)

    def _questions(
        self, model: str, rollout: Rollout | None, lease: Lease | None
    ) -> tuple[tuple[OpenQuestion, ...], bool]:
        """Return the open questions that are known, and whether these are all."""
        said = self.airflow.questions(model)
        if said is None:
            self.found.say(f"open questions: {NOT_SAID}")
        asked = [loop.until_claim_ends(one, lease) for one in said or ()]
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
        return tuple(asked), said is not None
