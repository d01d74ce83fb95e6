from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

import windsock
from support import project
from support.imports import OPERATORS

# Distributions whose import name is not their own name; types-PyYAML holds stubs only.
IMPORTS = {
    "apache-airflow": "airflow.sdk",
    "apache-airflow-providers-apprise": "airflow.providers.apprise.hooks.apprise",
    "apache-airflow-providers-docker": "airflow.providers.docker.operators.docker",
    "apache-airflow-providers-pagerduty": "airflow.providers.pagerduty.hooks.pagerduty_events",
    "apache-airflow-providers-slack": "airflow.providers.slack.hooks.slack_webhook",
    "apache-airflow-providers-smtp": "airflow.providers.smtp.hooks.smtp",
    "apache-airflow-providers-standard": "airflow.providers.standard.operators.hitl",
    "ibis-framework": "ibis",
    "markdown-it-py": "markdown_it",
    "pytest-xdist": "xdist",
    "import-linter": "importlinter",
    "playwright": "playwright.sync_api",
    "psycopg2-binary": "psycopg2",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
    "types-pyyaml": "yaml",
}
HEAVY = {
    "dask", "docker", "duckdb", "evidently", "great_expectations", "joblib", "matplotlib", "mlflow", "numpy",
    "pandas", "pyarrow", "scipy", "skops", "sklearn",
}  # fmt: skip
# Written in pieces: this file is searched too.
INDEX_WORDS = [
    "".join(parts)
    for parts in (
        ("pypi.", "org"), ("pythonhosted", ".org"), ("anaconda.", "org"), ("deb.debian.", "org"),
        ("npmjs.", "org"), ("--index", "-url"), ("--extra-index", "-url"), ("--find", "-links"),
    )
]  # fmt: skip
LOCK_WORDS = [
    "".join(parts)
    for parts in (
        ("poetry", ".lock"), ("uv", ".lock"), ("pdm", ".lock"), ("Pipfile", ".lock"), ("pylock", ".toml"),
        ("package-lock", ".json"), ("[[pack", "age]]"), ("content", "-hash"), ("lockfile", "Version"),
        ("--hash", "=sha256:"),
    )
]  # fmt: skip
# Airflow's two plugin managers, and the modules of ours that were loaded under a bare file name.
LOAD_PLUGINS = """
import json, sys
from airflow import plugins_manager as core
from airflow.sdk import plugins_manager as sdk
found = {
    "found": [plugin["name"] for plugin in core.get_plugin_info()],
    "tasks": [plugin.name for plugin in sdk._get_plugins()[0]],
    "errors": list(core.get_import_errors().values()),
}
found["strays"] = [name for name, module in sys.modules.items()
                   if "/windsock/" in (getattr(module, "__file__", None) or "") and "windsock" not in name]
found["place"] = [sys.modules["windsock"].__file__]
print()
print(json.dumps(found))
"""
MACHINE_PATH = re.compile(r"(?<![\w.:}~-])/(?:work|root|home/\w+|Users/\w+|opt/wheels|opt/pypi)/[\w.]")


# --- dependencies ---------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def import_errors() -> dict[str, str]:
    """Import everything that is asked for in one new interpreter: what went wrong, by distribution."""
    names = {name: IMPORTS.get(name, name.replace("-", "_")) for name in project.direct_requirements()}
    code = (
        "import importlib, json, logging\n"
        "logging.getLogger('great_expectations').setLevel(logging.WARNING)\n"
        "errors = {}\n"
        f"for name, module in {names!r}.items():\n"
        "    try: importlib.import_module(module)\n"
        "    except BaseException as error: errors[name] = repr(error)\n"
        "print(); print(json.dumps(errors))"
    )
    return json.loads(project.run_python(code))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(project.direct_requirements()))
def test_every_direct_dependency_imports(name: str, import_errors: dict[str, str]) -> None:
    assert import_errors.get(name) is None


def test_constraints_are_exact_sorted_and_without_an_address() -> None:
    lines = (project.PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9][a-z0-9-]*==[0-9][0-9a-z.+]*", line)] == []
    names = [line.split("==")[0] for line in lines]
    assert names == sorted(set(names))


def test_constraints_pin_every_direct_dependency_within_its_range() -> None:
    pins = project.pins()
    refused = {
        name: pins.get(name)
        for name, requirement in project.direct_requirements().items()
        if name not in pins or not requirement.specifier.contains(pins[name])
    }
    assert refused == {}


def test_constraints_pin_what_is_needed_and_nothing_else() -> None:
    needed, pinned = project.needed_distributions(), set(project.pins())
    assert needed - pinned == set()
    if sys.version_info[:2] == (3, 11):  # the pins were tested there; elsewhere some are not asked for
        assert pinned - needed == set()


def test_installed_versions_equal_the_pins() -> None:
    pins = project.pins()
    installed = {name: metadata.version(name) for name in project.needed_distributions() & set(pins)}
    assert installed == {name: pins[name] for name in installed}


def test_pandas_stays_below_the_release_that_evidently_does_not_import_on() -> None:
    specifier = project.direct_requirements()["pandas"].specifier
    assert specifier.contains("3.0.6")
    assert not specifier.contains("3.1.0")


def test_installed_version_is_the_package_s_version() -> None:
    assert metadata.version(project.DISTRIBUTION) == windsock.__version__, "run `make setup` again"


# --- wheel and plugin -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, with the build tools that are installed."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    run = subprocess.run([*build, str(project.PROJECT)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def other_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with every installed package but ours."""
    folder = tmp_path_factory.mktemp("packages")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "windsock" not in entry.name:
            (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture
def loaded_plugins(tmp_path: Path, other_packages: Path) -> Callable[..., dict[str, list[str]]]:
    """Load plugins as Airflow does, from a copy of the plugins folder and the packages on the given paths."""

    def load(*paths: Path) -> dict[str, list[str]]:
        plugins = tmp_path / "plugins"
        shutil.copytree(project.PLUGINS, plugins, ignore=shutil.ignore_patterns("__pycache__"))
        path = ":".join(map(str, (*paths, other_packages)))
        places = {"AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins), "AIRFLOW_HOME": str(tmp_path)}
        return json.loads(project.run_python(LOAD_PLUGINS, "-S", PYTHONPATH=path, **places))

    return load


def _assert_one_plugin(loaded: dict[str, list[str]]) -> None:
    assert loaded["found"].count("windsock") == 1
    assert loaded["tasks"].count("windsock") == 1
    assert loaded["errors"] == []
    assert loaded["strays"] == []


@pytest.mark.slow
def test_one_plugin_where_the_folder_is_only_mounted(tmp_path: Path, loaded_plugins: Callable) -> None:
    loaded = loaded_plugins()
    _assert_one_plugin(loaded)
    assert loaded["place"] == [str(tmp_path / "plugins" / "windsock" / "__init__.py")]


@pytest.mark.slow
def test_one_plugin_where_the_wheel_is_installed_too(
    tmp_path: Path, loaded_plugins: Callable, wheel: Path
) -> None:
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    loaded = loaded_plugins(installed)
    _assert_one_plugin(loaded)
    assert loaded["place"] == [str(installed / "windsock" / "__init__.py")]


@pytest.mark.slow
def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names} == {
        "windsock",
        f"airflow_windsock-{windsock.__version__}.dist-info",
    }
    package = project.PLUGINS / "windsock"
    on_disk = {path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {str(path.relative_to(project.PLUGINS)) for path in on_disk} <= names


def test_airflow_ignores_the_package_below_plugins() -> None:
    assert (project.PLUGINS / ".airflowignore").read_text(encoding="utf-8") == "windsock/\n"
    assert sorted(path.name for path in project.PLUGINS.glob("*.py")) == ["windsock_plugin.py"]


def test_no_module_is_named_like_a_tool() -> None:
    named = {path.stem for path in (project.PLUGINS / "windsock").rglob("*.py")}
    assert named & (HEAVY | {"airflow", "fastapi", "httpx", "ibis", "sqlalchemy", "typer"}) == set()


# --- light imports --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vocabulary", "records", "pipelines", "plugin", "operators"])
def test_import_is_light(modules_after: Callable[[str], frozenset[str]], name: str) -> None:
    assert OPERATORS
    assert modules_after(name) & HEAVY == set()


# --- what no file may say -------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [INDEX_WORDS, LOCK_WORDS], ids=["index", "lock file"])
def test_no_file_names_a_package_index_or_is_a_lock_file(words: list[str]) -> None:
    texts = project.texts()
    assert "pyproject.toml" in texts
    said = [(name, word) for name, text in texts.items() for word in words if word in text or word in name]
    assert said == []


def test_no_file_names_a_path_of_one_machine() -> None:
    said = [
        (name, found[0]) for name, text in project.texts().items() for found in MACHINE_PATH.finditer(text)
    ]
    assert said == []
