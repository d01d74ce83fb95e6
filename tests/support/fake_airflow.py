"""What Airflow and the programs around say, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from windsock.records import DagFacts, OpenQuestion, PartFacts, RunFacts, ServerFacts, Space


class FakeAirflow:
    """All DAGs are there and on, but those that are named.

    :param off: ids of those that are switched off.
    :param missing: ids of those that are not there.
    :param failing: how their last runs ended, by id.
    :param runs: states of runs by holder; every other run is gone.
    """

    def __init__(
        self,
        *,
        off: Sequence[str] = (),
        missing: Sequence[str] = (),
        failing: dict[str, tuple[str, ...]] | None = None,
        runs: dict[str, str] | None = None,
        asked: Sequence[OpenQuestion] = (),
        silent: Sequence[PartFacts] = (),
    ) -> None:
        self.off, self.missing = set(off), set(missing)
        self.failing, self.runs, self.asked = failing or {}, runs or {}, asked
        self.silent = silent
        self.dags_asked: list[str] = []

    def dag(self, dag_id: str) -> DagFacts:
        self.dags_asked.append(dag_id)
        if dag_id in self.missing:
            return DagFacts(dag_id=dag_id, exists=False)
        states = self.failing.get(dag_id, ("success",))
        return DagFacts(dag_id=dag_id, is_paused=dag_id in self.off, last_states=states)

    def run(self, holder: str) -> RunFacts:
        return RunFacts(holder=holder, state=self.runs.get(holder, ""))

    def questions(self, model: str) -> Sequence[OpenQuestion]:
        return [one for one in self.asked if one.model == model]

    def silent_parts(self) -> Sequence[PartFacts]:
        return self.silent


@dataclass
class FakeSurroundings:
    """Everything is well, but what is named."""

    server_facts: ServerFacts = field(
        default_factory=lambda: ServerFacts(address="http://127.0.0.1:8182", status="ok", workers=2)
    )
    mlflow_why: str = ""
    free: int = 10 * 2**30
    key_why: str = ""
    hour: datetime | None = None
    version: str | None = None
    lacking_rights: tuple[str, ...] = ()
    damage: str | None = ""

    def server(self) -> ServerFacts:
        return self.server_facts

    def tracking(self) -> tuple[str, str]:
        return "http://127.0.0.1:5000", self.mlflow_why

    def alias(self, model: str) -> str | None:
        return self.version

    def spaces(self) -> tuple[Space, ...]:
        return (Space(what="home", path="/home", free=self.free, total=2**40, limit=2**30),)

    def unwritable(self) -> tuple[str, ...]:
        return self.lacking_rights

    def broken_bundle(self, uri: str, digest: str, *, large: bool) -> str | None:
        return self.damage

    def no_key(self) -> str:
        return self.key_why

    def newest_hour(self, model: str) -> datetime | None:
        return self.hour
