from __future__ import annotations

from support.stack_logs import LAST_LINES, MOST_ERRORS, keep_logs, telling_lines


def test_errors_and_the_end_of_a_log_are_told() -> None:
    lines = ["start", "Error with id x: database is locked", *(f"line {number}" for number in range(50))]
    assert telling_lines("\n".join(lines)) == [lines[1], *lines[-LAST_LINES:]]


def test_an_error_at_the_end_is_told_once() -> None:
    assert telling_lines("fine\nTraceback (most recent call last):") == [
        "fine",
        "Traceback (most recent call last):",
    ]


def test_not_more_than_the_last_errors_are_told() -> None:
    text = "\n".join(f"error {number}" for number in range(200))
    assert len(telling_lines(text)) == MOST_ERRORS
    assert telling_lines(text)[-1] == "error 199"


def test_all_logs_are_copied_anew_for_each_test(tmp_path) -> None:
    logs, kept = tmp_path / "logs", tmp_path / "kept"
    logs.mkdir()
    (logs / "airflow-api.log").write_text("error: locked\n")
    (logs / "server.log.1").write_text("the start before\n")
    for _ in range(2):
        told = keep_logs(logs, "tests/e2e/test_x.py::test_y[a b/c]", kept)
    (folder,) = kept.iterdir()
    assert sorted(file.name for file in folder.iterdir()) == ["airflow-api.log", "server.log.1"]
    assert str(folder) in told
    assert "error: locked" in told
