from __future__ import annotations

import pytest

from windsock.spec.column_words import (
    EARLIER,
    IDENTITY,
    MOMENTS,
    NUMBER,
    OUTCOMES,
    PERSONAL,
    PERSONS,
    SENSITIVE,
    Vocabulary,
    is_truth,
    positive_word,
    words_of,
)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("customerID", ("customer", "id")),
        ("HTTPCode2", ("http", "code", "2")),
        ("고객번호", ("고객번호",)),
        ("会員ID", ("会員", "id")),
        ("Kündigung_am", ("kundigung", "am")),
        ("état-civil", ("etat", "civil")),
        ("ＩＤ", ("id",)),
        ("", ()),
        ("__", ()),
    ],
)
def test_words_of_any_script(name, words):
    assert words_of(name) == words


@pytest.mark.parametrize(
    "name",
    [
        "성별",
        "고객성별",
        "性別",
        "性別コード",
        "性别",
        "客户性别",
        "Geschlecht",
        "Kundengeschlecht",
        "sexe",
        "Sexo",
        "etnia",
        "nacionalidad",
        "nationalité",
        "Staatsangehörigkeit",
        "종교",
        "국적",
        "国籍",
        "民族",
        "人種",
        "gender",
    ],
)
def test_groups_of_people_in_seven_languages(name):
    assert SENSITIVE.names(name)


@pytest.mark.parametrize("name", ["sexy_score", "geschlossen", "bracelet", "성적", "性能", "genderless", "x"])
def test_other_words_are_none(name):
    assert not SENSITIVE.names(name)


def test_an_installation_adds_words():
    more = Vocabulary("Kaste", "部族")
    assert more.names("kaste")
    assert more.names("所属部族")
    assert not more.names("kasten")
    assert not Vocabulary().names("kaste")
    assert not Vocabulary().end("kaste")


def test_other_meanings():
    assert all(map(PERSONAL.names, ["나이", "Alter", "edad", "年齢", "年龄", "âge"]))
    assert all(map(NUMBER.end, ["고객번호", "Kundennummer", "顧客番号", "客户编号", "customer_no", "Numéro"]))
    assert not NUMBER.end("number_of_credits")
    assert all(map(IDENTITY.names, ["id", "userId", "회원아이디"]))
    assert all(map(PERSONS.names, ["환자", "患者番号", "Patienten-Nr", "cliente"]))
    assert all(map(OUTCOMES.names, ["해지여부", "解約フラグ", "流失", "Kündigung"]))
    assert all(map(EARLIER.names, ["가입일시", "Geburtsdatum", "入会日", "注册时间"]))
    assert all(map(MOMENTS.names, ["거래일시", "日付", "Datum", "fecha_pago"]))


@pytest.mark.parametrize(
    ("words", "name", "positive"),
    [
        (("late", "ontime"), "late", "late"),
        (("ontime", "late"), "is_late", "late"),
        (("churn", "stay"), "Churned", "churn"),
        (("legit", "fraud"), "fraud_flag", "fraud"),
        (("not late", "late"), "arrival", "late"),
        (("non-fraud", "fraud"), "kind", "fraud"),
        (("해지", "유지"), "해지여부", "해지"),
        (("예", "아니오"), "해지여부", "예"),
        (("아니요", "네"), "x", "네"),
        (("はい", "いいえ"), "x", "はい"),
        (("否", "是"), "x", "是"),
        (("Ja", "Nein"), "x", "Ja"),
        (("non", "oui"), "x", "oui"),
        (("No", "Sí"), "x", "Sí"),
        (("TRUE", "FALSE"), "x", "TRUE"),
        (("0", "1"), "x", "1"),
        (("1.0", "0.0"), "x", "1.0"),
        (("<=50K", ">50K"), "income", ">50K"),
        (("미연체", "연체"), "상태", "연체"),
        (("1", "2"), "credit", None),
        (("good", "bad"), "risk", None),
        (("m", "f"), "x", None),
        (("late", "later"), "late", None),
        (("a",), "a", None),
    ],
)
def test_the_positive_class_is_yes_or_the_one_named_like_the_target(words, name, positive):
    assert positive_word(words, name) == positive
    assert positive_word(words[::-1], name) == positive


def test_truths():
    assert is_truth(["예", "아니오"])
    assert is_truth(["JA", "nein "])
    assert not is_truth(["예", "네"])
    assert not is_truth(["yes", "no", "n/k"])
