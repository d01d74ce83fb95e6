"""Outcomes of a window, as far as they are known by now, counted against the target of the held-out rows."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from windsock.exceptions import WindsockError
from windsock.monitoring.performance_case import ANSWERED, place_of
from windsock.ports import LabelledRows, LoadedBundle, Ports
from windsock.ports.left_out import left_out
from windsock.records import CheckDriftInput, ColumnKind, ColumnProfile
from windsock.records.values import category_text
from windsock.statistics.counting import NUMERIC, ColumnCounts, count_categories, count_numbers
from windsock.statistics.labels import Label, read_outcomes

log = logging.getLogger(__name__)


def count_targets(
    step: CheckDriftInput, ports: Ports, bundle: LoadedBundle, findings: list[str]
) -> ColumnCounts | None:
    """Count the outcomes of a window's own rows that are known by now.

    They are told and never part of the verdict, so whatever goes wrong here is a finding.

    :param findings: what could not be counted is added.
    :returns: ``None`` where the profile has no target or no outcome is known.
    """
    profile = bundle.profile.target if bundle.profile else None
    if profile is None:
        return None
    try:
        joined = ports.rows.labelled(
            step.spec.name,
            step.window,
            step.spec.monitoring.labels,
            schema=bundle.schema,
            digest=bundle.digest,
            as_of=ports.now(),
            features=False,
        )
        return _counted(profile, joined, bundle, findings)
    except WindsockError as error:
        findings.append(f"{error.code} outcomes are not compared: {error.message}")
    except Exception as error:
        log.error("outcomes could not be counted: %s", place_of(error))
        findings.append(f"outcomes are not compared: counting them raised {type(error).__name__}")
    return None


def _counted(
    profile: ColumnProfile, joined: LabelledRows, bundle: LoadedBundle, findings: list[str]
) -> ColumnCounts | None:
    """Count outcomes; rows without one, or with one that is no outcome of the model, are left out."""
    frame = joined.frame
    outcomes = [] if frame.empty else frame.loc[frame["variant"].isin(ANSWERED), "outcome"].tolist()
    read, foreign = read_outcomes(outcomes, bundle.schema)
    findings += [f"outcomes: {one}" for one in left_out(joined, foreign)]
    labels = [one for one in read if one is not None]
    return count_labels(profile, labels) if labels else None


def count_labels(profile: ColumnProfile, labels: Sequence[Label]) -> ColumnCounts:
    """Count outcomes against the profile of the target, in the words of training."""
    if profile.kind in NUMERIC:
        import numpy as np

        return count_numbers(profile, np.array(labels, dtype="float64"))
    if profile.kind is ColumnKind.BOOLEAN:
        return count_categories(profile, Counter("true" if one else "false" for one in labels), 0)
    return count_categories(profile, Counter(category_text(one) for one in labels), 0)
