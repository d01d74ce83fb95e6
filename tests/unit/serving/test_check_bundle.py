from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.builders import make_version, stored_evidence
from support.serving import FIELDS, make_plan, make_settings, store_bundle
from windsock.adapters import own_process
from windsock.adapters.bundle_store import SignedBundleStore
from windsock.adapters.compiled import PipelineCompiler
from windsock.adapters.storage import Storage
from windsock.exceptions import DeploymentRefusedError, ServerUnavailableError, StorageError
from windsock.ports import LoadedBundle
from windsock.records import MODEL_FILE, TREES_FILE, GoldenPredictions, SlotPlan, StoredBundle
from windsock.serving.check_bundle import check_apart
from windsock.training.golden import make_golden
from windsock.training.preprocessing import build_preprocessing, to_features

pytestmark = pytest.mark.slow
Check = Callable[..., None]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    settings = make_settings(tmp_path)

    def run(plan: SlotPlan, *, model: str = "churn", seconds: float = 60) -> None:
        asyncio.run(check_apart(settings, model, plan, limit_seconds=seconds))

    run.settings = settings  # type: ignore[attr-defined]
    return run


def slot_of(stored: StoredBundle) -> SlotPlan:
    return make_plan(stored).slots[0]


def test_a_good_bundle_passes_and_its_copy_is_there(check: Check, bundles: dict[str, LoadedBundle]) -> None:
    settings = check.settings  # type: ignore[attr-defined]
    stored = store_bundle(settings, bundles["first"])
    check(slot_of(stored))
    assert (settings.serving_dir / "bundles" / stored.digest / MODEL_FILE).is_file()


def test_other_golden_predictions_are_refused(check: Check, bundles: dict[str, LoadedBundle]) -> None:
    golden = bundles["first"].golden
    turned = tuple((yes, no) for no, yes in golden.scores)
    crooked = GoldenPredictions(rows=golden.rows, scores=turned, tolerance=golden.tolerance)
    stored = store_bundle(check.settings, bundles["first"], golden=crooked)  # type: ignore[attr-defined]
    with pytest.raises(DeploymentRefusedError, match="20 golden predictions differ by up to"):
        check(slot_of(stored))


def test_a_changed_file_is_refused_by_its_code(check: Check, bundles: dict[str, LoadedBundle]) -> None:
    settings = check.settings  # type: ignore[attr-defined]
    stored = store_bundle(settings, bundles["first"])
    file = Path(stored.uri) / MODEL_FILE
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(DeploymentRefusedError, match="is not what was signed") as refused:
        check(slot_of(stored))
    assert refused.value.code == "WS-BUNDLE-005"
    assert not (settings.serving_dir / "bundles" / stored.digest).exists()


def test_another_models_bundle_is_refused(check: Check, bundles: dict[str, LoadedBundle]) -> None:
    stored = store_bundle(check.settings, bundles["spend"])  # type: ignore[attr-defined]
    with pytest.raises(DeploymentRefusedError, match="no signed evidence says") as refused:
        check(slot_of(stored))
    assert refused.value.code == "WS-SERVING-066"
    stored_evidence(store_of(check), make_version(model="churn", digest=stored.digest))
    with pytest.raises(DeploymentRefusedError, match="of model spend, not of churn"):
        check(slot_of(stored))


def store_of(check: Check) -> SignedBundleStore:
    settings = check.settings  # type: ignore[attr-defined]
    return SignedBundleStore(Storage(settings.storage_url), settings.keys_dir)


def test_storage_that_is_away_is_no_verdict(check: Check) -> None:
    storage = check.settings.storage_url  # type: ignore[attr-defined]
    stored = StoredBundle(uri=f"{storage}/bundles/churn/none", digest="a" * 64)
    with pytest.raises(StorageError):
        check(slot_of(stored))


def test_a_crafted_tree_is_refused_though_it_is_signed(
    check: Check, bundles: dict[str, LoadedBundle]
) -> None:
    """It verifies and loads; asked for a prediction it reads far out of its nodes."""
    import numpy as np
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import Pipeline

    golden = bundles["first"].golden
    features = to_features(golden.rows, FIELDS)
    forest = RandomForestClassifier(2, random_state=1)
    pipeline = Pipeline([("preprocessing", build_preprocessing(FIELDS, "trees")), ("estimator", forest)])
    pipeline.fit(features, np.arange(len(features)) % 2 == 0)
    tree = forest.estimators_[0].tree_
    state = tree.__getstate__()
    state["nodes"] = state["nodes"].copy()
    for side in ("left_child", "right_child"):
        state["nodes"][side][0] = 2**40
    tree.__setstate__(state)
    stored = store_bundle(check.settings, bundles["first"], pipeline=pipeline)  # type: ignore[attr-defined]
    with pytest.raises(DeploymentRefusedError, match="ended by signal"):
        check(slot_of(stored))


@pytest.mark.parametrize("what", ["nodes_truenodeids", "nodes_featureids", "leaf_targetids", "tree_roots"])
def test_crafted_compiled_trees_are_refused_though_they_are_signed(
    check: Check, bundles: dict[str, LoadedBundle], what: str
) -> None:
    """The fitted pipeline is honest; its compiled form reads far out of its nodes, or of its row."""
    import numpy as np
    import onnx
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import Pipeline

    first = bundles["first"]
    features = to_features(first.golden.rows, FIELDS)
    forest = RandomForestClassifier(2, random_state=1)
    pipeline = Pipeline([("preprocessing", build_preprocessing(FIELDS, "trees")), ("estimator", forest)])
    pipeline.fit(features, np.arange(len(features)) % 2 == 0)
    files = dict(PipelineCompiler().compile(pipeline, first.schema))
    trees = onnx.load_model_from_string(files[TREES_FILE])
    (crafted,) = [known for known in trees.graph.node[0].attribute if known.name == what]
    crafted.ints[0] = 2**30
    files[TREES_FILE] = trees.SerializeToString()
    golden = make_golden(pipeline, features, FIELDS)
    changes = {"pipeline": pipeline, "golden": golden, "compiled": files}
    stored = store_bundle(check.settings, first, **changes)  # type: ignore[attr-defined]
    how = r"ended by signal|ended with status|differ by|cannot be read|does not fit"
    with pytest.raises(DeploymentRefusedError, match=how):
        check(slot_of(stored))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended by signal 11"),
        ("import time; time.sleep(60)", "no answer to its golden predictions within 3 s"),
        ("raise SystemExit(7)", "ended with status 7"),
        ("print('{')", "ended with status 0"),
    ],
)
def test_a_bundle_that_crashes_or_hangs_hurts_nobody(
    check: Check,
    bundles: dict[str, LoadedBundle],
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    said: str,
) -> None:
    """What a crafted tree does to the process that asks it, done to it directly."""
    stored = store_bundle(check.settings, bundles["first"])  # type: ignore[attr-defined]
    monkeypatch.setattr(own_process, "CODE", code)
    with pytest.raises(DeploymentRefusedError, match=said):
        check(slot_of(stored), seconds=3 if "sleep" in code else 60)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no processor can be chosen here")
def test_a_look_that_got_no_processor_is_no_refusal(
    check: Check, bundles: dict[str, LoadedBundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process may only have what another one leaves of the same processor, which is nothing."""
    stored = store_bundle(check.settings, bundles["first"])  # type: ignore[attr-defined]
    there = f"import os; os.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}})\n"
    spin = "while True: pass"
    idle = f"{there}os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\n{spin}"
    with subprocess.Popen([sys.executable, "-c", there + spin]) as busy:
        try:
            monkeypatch.setattr(own_process, "CODE", idle)
            with pytest.raises(
                ServerUnavailableError, match=r"was too busy .* of 3 s it waited [123] s"
            ) as caught:
                check(slot_of(stored), seconds=3)
        finally:
            busy.kill()
    assert caught.value.code == "WS-SERVING-068"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL", "SIGINT"])
def test_a_look_that_is_ended_from_outside_is_no_refusal(
    check: Check, bundles: dict[str, LoadedBundle], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    stored = store_bundle(check.settings, bundles["first"])  # type: ignore[attr-defined]
    ended = f"import os, signal; signal.signal(2, signal.SIG_DFL); os.kill(os.getpid(), signal.{name})"
    monkeypatch.setattr(own_process, "CODE", ended)
    with pytest.raises(ServerUnavailableError, match=f"was ended by {name} from outside") as caught:
        check(slot_of(stored))
    assert caught.value.code == "WS-SERVING-067"
