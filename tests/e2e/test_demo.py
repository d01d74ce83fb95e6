"""``windsock demo`` as a person runs it: the bundled model in every test run, real data sets by hand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.stack import clean_environment, free_ports
from windsock.cli import processes

CARD = "gate: {card: {intended_use: Tests of the demo., limitations: Not for use.}}\n"
REAL = {
    "telco": ("{source: SHARED/telco_churn.csv, target: Churn, entity: customerID}", 0.83),
    "adult": ("{source: SHARED/adult_income.csv, target: income-per-year, sensitive: [sex, race]}", 0.90),
    "german": ("{source: SHARED/german_credit.csv, target: credit, positive: 2}", 0.70),
}


def run_demo(project: Path, home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    ports = [option for name, port in free_ports().items() for option in (f"--{name}-port", str(port))]
    command = [
        sys.executable,
        "-m",
        "windsock.cli",
        "demo",
        "--project",
        str(project),
        "--keep-home",
        str(home),
    ]
    environment = {**clean_environment(), "PYTHONPATH": str(project / "plugins")}
    return subprocess.run(
        [*command, *ports, *options],
        capture_output=True,
        text=True,
        env=environment,
        timeout=1_800,
        check=False,
        cwd=project,
    )


def no_process_of(home: Path) -> bool:
    """Say whether nothing that runs names this home in its environment."""
    named = f"WINDSOCK_HOME={home}".encode()
    for entry in processes.PROC.iterdir():
        try:
            if entry.name.isdigit() and named in (entry / "environ").read_bytes():
                return False
        except OSError:
            continue
    return True


@pytest.mark.e2e
def test_the_bundled_model_goes_from_data_to_a_served_answer(project, tmp_path):
    done = run_demo(project, tmp_path / "home")
    out = done.stdout
    assert done.returncode == 0, out + done.stderr
    assert "\x1b" not in out
    tasks = re.findall(r"^  ok +(\w+)", out, re.MULTILINE)
    first = tasks[: tasks.index("close_retrain") + 1]
    assert (first[0], first[1], first[-2]) == ("claim_retrain", "take_snapshot", "promote_model")
    drift = tasks[len(first) :]
    assert drift[0] == "wait_for_window"
    assert {"check_drift", "check_performance", "decide_retrain", "claim_retrain"} < set(drift)
    assert drift[-2:] == ["promote_model", "close_retrain"]
    seconds = re.search(r"^Time +(\d+) s from the end of the moved window", out, re.MULTILINE)
    assert seconds, out
    assert "Gate     promote:" in out
    assert re.search(r"^  check +status +what was seen, with its 95 % interval and its limit$", out, re.M)
    assert '"version": "1"' in out
    assert "commit version 1" in out
    looks = re.findall(r"^Look +(\d+) .+ users, .*; (\w+): ", out, re.MULTILINE)
    assert [int(number) for number, _ in looks] == list(range(1, len(looks) + 1))
    actions = [action for _, action in looks]
    assert actions[-1] == "promote", out
    # On a busy machine another look is due before the first decision has been carried out: it decides alike.
    held = actions.index("promote")
    assert set(actions[:held]) <= {"hold"}
    assert set(actions[held:]) == {"promote"}
    assert re.search(
        r"^End +promoted \d+ s after its start: version 2 .* decision [0-9a-f]{12}$", out, re.MULTILINE
    )
    assert '"version": "2"' in out
    assert "commit version 2" in out
    assert f"`windsock up --project {project} --home {tmp_path / 'home'}` brings it all back" in out
    assert "Switched off: churn__daily_retrain; " in out
    assert f"`windsock models on churn --home {tmp_path / 'home'}`" in out
    assert no_process_of(tmp_path / "home")


@pytest.mark.acceptance
@pytest.mark.parametrize("name", REAL)
def test_a_new_file_for_real_data_is_all_it_takes(project, shared_data, tmp_path, name):
    data, least = REAL[name]
    data = data.replace("SHARED", str(shared_data))
    spec = tmp_path / f"{name}.yaml"
    spec.write_text(f"model: {{name: {name}, owner: ds@company.com}}\ndata: {data}\n{CARD}")
    done = run_demo(project, tmp_path / "home", "--spec", str(spec))
    assert done.returncode == 0, done.stdout + done.stderr
    held_out = re.search(r"held out: roc_auc ([0-9.]+)", done.stdout)
    assert held_out, done.stdout
    assert float(held_out[1]) >= least
    assert '"version": "1"' in done.stdout


@pytest.mark.acceptance
def test_a_red_run_ends_with_its_block_and_exit_code_1(project, tmp_path):
    data = tmp_path / "rows.csv"
    data.write_text("a,target\n" + "".join(f"{n},{n % 2}\n" for n in range(400)))
    spec = tmp_path / "without_a_card.yaml"
    spec.write_text("model: {name: without_a_card}\ndata: {source: rows.csv}\n")
    done = run_demo(project, tmp_path / "home", "--spec", str(spec))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "The last block of" in done.stdout
    assert "  VERDICT: FAIL" in done.stdout
    assert "is red" in done.stderr
    assert no_process_of(tmp_path / "home")
