"""The tracker and the registry against a real ``mlflow server`` on this machine."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.mlflow_contract import (
    Contract,
    RegistryContract,
    TrackerContract,
    made_installation,
    runs_of,
    with_model,
)
from windsock.adapters.mlflow_client import ping
from windsock.adapters.mlflow_registry import MlflowRegistry
from windsock.adapters.mlflow_tracking import MlflowTracker
from windsock.exceptions import TrackingUnavailableError

if TYPE_CHECKING:
    from support.mlflow_server import Server

pytestmark = pytest.mark.slow
pytest_plugins = ["support.mlflow_server"]


class OnServer:
    """The contract's MLflow is the server."""

    @pytest.fixture
    def tracking_uri(self, server: Server) -> str:
        return server.url


class TestTrackerOnServer(OnServer, TrackerContract):
    def test_a_login_in_the_address_is_used_and_never_shown(
        self, model: str, server: Server, tmp_path: Path
    ) -> None:
        uri = server.url.replace("http://", "http://me:topsecret@")
        tracker = MlflowTracker(uri, tmp_path)
        run_id = tracker.record_run(with_model(model))
        assert tracker.run_link(model, run_id) == f"{server.url}/#/runs/{run_id}"
        assert "topsecret" not in ping(uri)


class TestRegistryOnServer(OnServer, RegistryContract):
    pass


class LosesAnswers:
    """A proxy that hands requests on, and cuts the line instead of giving the answers it is told to lose.

    :param target: port of the real server.
    :param doomed: beginnings of request lines, such as ``POST /api/2.0/mlflow/runs/create``; one answer each.
    """

    def __init__(self, target: int, doomed: tuple[str, ...]) -> None:
        self.target = target
        self.doomed = list(doomed)
        self.lost: list[str] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._hand_on, args=(connection,), daemon=True).start()

    def _hand_on(self, connection: socket.socket) -> None:
        """Serve one request of a connection and close it: clients open another."""
        with connection, socket.create_connection(("127.0.0.1", self.target)) as real:
            request = self._one_request(connection)
            if not request:
                return
            head = request.split(b"\r\n", 1)[0].decode()
            real.sendall(request.replace(b"\r\nConnection: keep-alive", b"\r\nConnection: close", 1))
            answer = b""
            while part := real.recv(65_536):
                answer += part
            if not self._is_doomed(head):
                connection.sendall(answer)

    def _is_doomed(self, head: str) -> bool:
        with self._lock:
            for beginning in self.doomed:
                if head.startswith(beginning):
                    self.doomed.remove(beginning)
                    self.lost.append(beginning)
                    return True
        return False

    @staticmethod
    def _one_request(connection: socket.socket) -> bytes:
        request = b""
        while b"\r\n\r\n" not in request:
            part = connection.recv(65_536)
            if not part:
                return b""
            request += part
        head, _, body = request.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        missing = int(lengths[0].split(b":")[1]) - len(body) if lengths else 0
        while missing > 0:
            part = connection.recv(min(missing, 65_536))
            if not part:
                return b""
            request, missing = request + part, missing - len(part)
        return request


API = "POST /api/2.0/mlflow"


class TestLostAnswers(OnServer, Contract):
    @pytest.mark.parametrize(
        "doomed",
        [
            (f"{API}/experiments/create",),
            (f"{API}/runs/create",),
            (f"{API}/runs/log-batch",),
            (f"{API}/runs/log-inputs",),
            (f"{API}/logged-models",),
            (f"{API}/runs/update",),
            (f"{API}/runs/create", f"{API}/runs/create"),
        ],
        ids=lambda doomed: f"{doomed[0].rpartition('mlflow/')[2]}-{len(doomed)}",
    )
    def test_a_lost_answer_makes_no_second_run(
        self, server: Server, client: Any, model: str, tmp_path: Path, doomed: tuple[str, ...]
    ) -> None:
        proxy = LosesAnswers(server.port, doomed)
        try:
            run_id = MlflowTracker(proxy.url, tmp_path).record_run(with_model(model))
        finally:
            proxy.close()
        assert proxy.lost == list(doomed)
        (run,) = runs_of(client, model)
        assert (run.info.run_id, run.info.status) == (run_id, "FINISHED")
        (logged,) = client.search_logged_models([run.info.experiment_id])
        assert str(logged.status) == "READY"
        assert len(client.get_metric_history(run_id, "cv_roc_auc_mean")) == 1

    @pytest.mark.parametrize("path", ["registered-models/create", "model-versions/create"])
    @pytest.mark.parametrize("times", [1, 2])
    def test_a_lost_answer_makes_no_second_version(
        self,
        server: Server,
        tracker: MlflowTracker,
        client: Any,
        model: str,
        tmp_path: Path,
        path: str,
        times: int,
    ) -> None:
        run_id = tracker.record_run(with_model(model))
        proxy = LosesAnswers(server.port, (f"{API}/{path}",) * times)
        try:
            registry = MlflowRegistry(proxy.url, tmp_path, made_installation(tmp_path / "keys"))
            number = registry.register(
                model=model, key="k1", run_id=run_id, tags={"windsock.bundle": "b"}, used={}
            )
        finally:
            proxy.close()
        assert len(proxy.lost) == times
        assert number == "1"
        (version,) = client.search_model_versions(f"name = '{model}'")
        assert (str(version.version), version.tags["windsock.bundle"]) == ("1", "b")

    def test_the_proxy_does_make_a_naive_client_write_twice(
        self, server: Server, client: Any, model: str, tmp_path: Path
    ) -> None:
        from mlflow import MlflowClient

        experiment = client.create_experiment(model)
        proxy = LosesAnswers(server.port, (f"{API}/runs/create",))
        try:
            MlflowClient(proxy.url, proxy.url).create_run(experiment)
        finally:
            proxy.close()
        assert len(runs_of(client, model)) == 2


class TestServerGoesAway(Contract):
    @pytest.fixture
    def mortal(self, server: Server) -> Iterator[Server]:
        """The server, which runs again for other tests, however this one ends."""
        yield server
        if server.process is None:
            server.start()

    def test_killed_in_the_middle_is_said_soon_and_gone_on_with(
        self, mortal: Server, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from mlflow import MlflowClient

        draft, honest = with_model(model), MlflowClient.log_inputs
        tracker = MlflowTracker(mortal.url, tmp_path)

        def kill_the_server(*args: Any, **kwargs: Any) -> None:
            honest(*args, **kwargs)
            mortal.stop()

        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, "log_inputs", kill_the_server)
            begun = time.monotonic()
            with pytest.raises(TrackingUnavailableError) as caught:
                tracker.record_run(draft)
        assert time.monotonic() - begun < 30
        assert caught.value.code == "WS-TRACKING-001"
        begun = time.monotonic()
        with pytest.raises(TrackingUnavailableError):
            tracker.record_run(draft)
        assert time.monotonic() - begun < 15

        mortal.start()
        client = MlflowClient(mortal.url, mortal.url)
        (left,) = runs_of(client, model)
        assert left.info.status == "RUNNING"
        assert tracker.record_run(draft) == left.info.run_id
        (run,) = runs_of(client, model)
        assert run.info.status == "FINISHED"
        assert len(client.search_logged_models([run.info.experiment_id])) == 1

    def test_a_server_that_hangs_is_said_within_fifteen_seconds(
        self, server: Server, model: str, tmp_path: Path
    ) -> None:
        registry = MlflowRegistry(server.url, tmp_path, made_installation(tmp_path / "keys"))
        assert registry.alias(model, "champion") is None
        server.signal(signal.SIGSTOP)
        begun = time.monotonic()
        try:
            with pytest.raises(TrackingUnavailableError):
                registry.alias(model, "champion")
        finally:
            server.signal(signal.SIGCONT)
        assert time.monotonic() - begun < 15
        assert registry.alias(model, "champion") is None
