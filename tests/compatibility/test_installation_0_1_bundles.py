"""The files that 0.1 signed and stored: bundles, evidence packs, snapshots; nothing of them is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from support.released import V0_1
from support.shifted import House
from windsock import records as r
from windsock.adapters.bundle_store import SignedBundleStore
from windsock.adapters.storage import Storage
from windsock.exceptions import UnverifiedBundleError
from windsock.serving.check_bundle import check_bundle, make_shelf

FACTS = V0_1.facts
MODELS = FACTS["models"]
BUNDLES = [
    (model, version, *place)
    for model in sorted(MODELS)
    for version, place in MODELS[model]["bundles"].items()
]
IDS = [f"{model}-{version}" for model, version, *_ in BUNDLES]
ENGINES = {"churn": "linear", "delivery": "trees"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with V0_1.opened(tmp_path_factory.mktemp("bundles")) as house:
        yield house


@pytest.mark.parametrize(("model", "version", "uri", "digest"), BUNDLES, ids=IDS)
def test_every_bundle_verifies_and_answers_as_it_did(house, model, version, uri, digest):
    slot = r.SlotPlan(version=version, digest=digest, bundle_uri=uri, share=0)
    shelf = make_shelf(house.settings)
    probe = check_bundle(shelf, model, slot)
    assert (probe.matched, probe.rows, probe.version) == (True, 20, version)
    served = shelf.load(slot, model)
    assert served.pipeline is None  # only what is compiled is loaded
    assert served.compiled is not None
    assert served.compiled.engine == ENGINES[model]


@pytest.mark.parametrize(("model", "version", "uri", "digest"), BUNDLES, ids=IDS)
def test_every_bundle_says_what_it_was_made_of(house, model, version, uri, digest):
    bundle = house.ports().bundles.describe(uri, digest)
    assert (bundle.manifest.model, bundle.digest) == (model, digest)
    assert bundle.profile is not None
    names = {"churn": ["age", "calls", "gender", "plan"], "delivery": ["city", "distance", "weight"]}[model]
    assert sorted(column.name for column in bundle.profile.columns) == names
    assert sorted(field.name for field in bundle.schema.fields) == names
    assert [field.name for field in bundle.schema.fields if field.sensitive] == ["gender"][: len(names) - 3]
    assert house.ports().bundles.find(model, bundle.manifest.key) == r.StoredBundle(uri=uri, digest=digest)


def test_a_bundle_that_was_changed_is_still_refused(house):
    model, _, uri, digest = BUNDLES[0]
    copy = house.home / "copy"
    store = SignedBundleStore(Storage(house.settings.storage_url), house.settings.keys_dir)
    folder = store.fetch_bundle(uri, digest, copy)
    file = folder / "golden.json"
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(UnverifiedBundleError):
        store.load_folder(folder, digest)


@pytest.mark.parametrize("uri", sorted(FACTS["evidence"]))
def test_every_evidence_pack_verifies(house, uri):
    content = house.ports().bundles.read_document(uri, FACTS["evidence"][uri])
    assert json.loads(content)["model"] in uri


@pytest.mark.parametrize("model", sorted(MODELS))
def test_every_registration_finds_its_evidence(house, model):
    ports = house.ports()
    rows = [row for row in ports.ledger.rows(model) if row.action is r.LedgerAction.REGISTER]
    for row in rows:
        assert row.body["evidence_digest"] in FACTS["evidence"].values()
        version = r.RegisteredVersion.of_row(row)
        assert (version.version, version.digest) == (row.version, row.digest)
        assert version.registration(rows) == row
    assert [row.version for row in rows] == sorted(MODELS[model]["bundles"])


@pytest.mark.parametrize(("model", "rows"), [("churn", 440), ("delivery", 380)])
def test_the_latest_snapshot_is_read(house, model, rows):
    snapshots = house.ports().snapshots
    latest = snapshots.latest(model)
    assert latest is not None
    assert (latest.digest, latest.rows, len(snapshots.load(latest))) == (
        MODELS[model]["snapshot"],
        rows,
        rows,
    )


@pytest.mark.parametrize(("model", "step"), [("churn", "validate_data"), ("delivery", "evaluate_model")])
def test_a_kept_step_record_leads_to_its_snapshot(house, model, step):
    from windsock.adapters.database import reading

    with reading(house.settings.database_url) as connection:
        query = f"SELECT record FROM step_records WHERE model = '{model}' AND step = '{step}'"  # noqa: S608
        digests = {json.loads(raw)["snapshot_digest"] for raw in connection.exec_driver_sql(query).scalars()}
    known = {folder.name for folder in (house.home / "storage" / "snapshots" / model).iterdir()}
    assert digests <= known
    assert MODELS[model]["snapshot"] in digests


@pytest.mark.parametrize("model", sorted(MODELS))
def test_mlflow_lists_its_runs_versions_and_aliases(house, model):
    from mlflow import MlflowClient

    known, uri = FACTS["mlflow"][model], house.settings.tracking_uri
    client = MlflowClient(uri, uri)
    experiment = client.get_experiment_by_name(model)
    runs = [[run.info.run_id, run.info.status] for run in client.search_runs([experiment.experiment_id])]
    versions = [[str(one.version), one.run_id] for one in client.search_model_versions(f"name = '{model}'")]
    assert (sorted(runs), sorted(versions)) == (known["runs"], known["versions"])
    assert house.ports().registry.alias(model, "champion") == known["aliases"]["champion"]
