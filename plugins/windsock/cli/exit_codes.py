"""What exit code 1 of each command says; the others mean the same everywhere."""

from __future__ import annotations

REFUSAL = "bad input, or it was refused"
EXIT_1 = {
    "validate": "a file cannot be used",
    "init": "the source cannot be read, or the file is there already",
    "schema": REFUSAL,
    "models list": "a model file cannot be used",
    "models on": "no stack runs there, or it lacks a pool or a DAG",
    "models off": "no stack runs there, or it lacks a DAG",
    "status": "with --check: something is wrong; else bad input",
    "alerts list": "with --check: one of high or critical severity fires; else bad input",
    "alerts test": "a channel refused",
    "rollback": "it was refused, or there is nothing to go back to",
    "monitor": "a window could not be judged, or bad input",
    "backtest": "there is nothing to judge, or bad input",
    "step": "its verdict says no, or bad input",
    "serve": REFUSAL,
    "demo": "a run is red, or a part did not come up",
    "stack restart": "no stack runs here, it has no such program, or it did not come back",
    "up": "a part did not come up, or failed for good",
    "doctor": "a check failed",
    "housekeeping run": "something is wrong that a person must look at",
    "maturity": "there is no model of that name, or no installation",
    "keys init": "there are keys already, or they cannot be written",
    "keys rotate": "there is no key, or it cannot be replaced",
    "keys log": REFUSAL,
    "ledger show": "rows are missing or left out, or there is no row",
    "ledger reconcile": "something differs and no reason was given, or it was refused",
    "clients add": REFUSAL,
    "clients list": REFUSAL,
    "clients rotate": REFUSAL,
    "clients revoke": REFUSAL,
    "clients remove": REFUSAL,
    "data contract": "there is no contract yet, or bad input",
    "gate plan": REFUSAL,
    "rollout status": REFUSAL,
    "rollout plan": "the traffic does not tell enough, or bad input",
    "rollout start": "it was refused",
    "rollout judge": "it was refused",
    "rollout pause": "it was refused",
    "rollout resume": "it was refused",
    "rollout stop": "it was refused, or no rollout is under way",
    "rollout rollback": "it was refused, or no rollout is under way",
    "rollout report": "there was no rollout of that name",
}
"""By the command's words; docs/commands.md has the same table."""


def epilog_of(command: str) -> str:
    """Return the last line of a command's help.

    :param command: its words, such as ``rollout status``.
    """
    refused = EXIT_1.get(command, REFUSAL)
    return (
        f"Exit codes: 0 done; 1 {refused}; 2 wrong usage; 3 a system did not answer, or the output was lost."
    )
