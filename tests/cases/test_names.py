"""Names in any script: target, entity, sensitive columns and the positive class; leaks are seen by values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from windsock.cli.first_file import seen_columns
from windsock.spec.loader import spec_from_bytes
from windsock.spec.starter import write_starter

pytestmark = pytest.mark.cases

LANGUAGES = {
    "Korean": ("고객번호 나이 성별 요금제 월요금 가입일 해지여부", ("예", "아니오"), ("남", "여")),
    "Japanese": ("顧客番号 年齢 性別 プラン 月額 入会日 解約", ("はい", "いいえ"), ("男", "女")),
    "Chinese": ("客户编号 年龄 性别 套餐 月费 注册日期 是否流失", ("是", "否"), ("男", "女")),
    "German": (
        "Kundennummer Alter Geschlecht Tarif Gebühr Eintrittsdatum Kündigung",
        ("ja", "nein"),
        ("m", "w"),
    ),
    "French": ("id_client âge sexe offre prix date_naissance résiliation", ("oui", "non"), ("h", "f")),
    "Spanish": ("id_cliente edad sexo plan precio fecha_alta abandono", ("sí", "no"), ("h", "m")),
}


def customers(names, truths, people, rows=400):
    draw = np.random.default_rng(8)
    columns = [
        [f"K{number:05}" for number in range(rows)],
        draw.integers(18, 80, rows).astype(str),
        draw.choice(people, rows),
        draw.choice(["a", "b", "c"], rows),
        draw.normal(30_000, 9_000, rows).round(1).astype(str),
        [f"2025-{number % 12 + 1:02}-{number % 28 + 1:02}" for number in range(rows)],
        np.where(draw.random(rows) < 0.3, *truths),
    ]
    return pd.DataFrame(dict(zip(names.split(), columns, strict=True))).astype(object)


@pytest.mark.parametrize("language", LANGUAGES)
def test_headers_of_any_language(case, language):
    names, truths, people = LANGUAGES[language]
    frame = customers(names, truths, people)
    starter = write_starter(frame, source="x.csv", name="m", seen=seen_columns(frame))
    data = spec_from_bytes(starter.text.encode(), "m.yaml").data
    entity, _, sensitive, *_, target = names.split()
    case(f"names: {language} target", right=target, got=data.target)
    case(f"names: {language} entity", right=entity, got=data.entity)
    case(f"names: {language} sensitive", right=(sensitive,), got=data.sensitive)
    case(f"names: {language} positive", right=truths[0], got=data.positive)
    case(f"names: {language} leaks", right=False, got="give" in " ".join(starter.notes))
    case(f"names: {language} excluded", right=(), got=data.exclude)
    case(f"names: {language} event time", right=None, got=data.event_time)
