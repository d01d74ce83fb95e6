"""What a column's name says, in the languages that tables come in."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

LONG = 6
"""A word of so many letters counts at the end of a compound too, as in ``Kundennummer``."""
WORD = re.compile(r"A+(?!a)|A?a+|[0-9]+|o+")
"""Words in a name of classes of letters: A capital, a small, o of a script without either."""


def folded(text: str) -> str:
    """Return a text in small letters without accents, width or other ways to write the same."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return unicodedata.normalize(
        "NFC", "".join(letter for letter in plain if not unicodedata.combining(letter))
    )


@lru_cache(maxsize=20_000)
def words_of(name: str) -> tuple[str, ...]:
    """Return the words in a name, folded: ``customerID`` has ``customer`` and ``id``, in any script."""
    plain = unicodedata.normalize("NFKC", name)
    classes = "".join(map(_class_of, plain))
    return tuple(folded(plain[found.start() : found.end()]) for found in WORD.finditer(classes))


def _class_of(letter: str) -> str:
    if letter.isdigit():
        return "0"
    if not (letter.isalpha() or unicodedata.combining(letter)):
        return "-"
    if letter.islower() or letter.isupper():
        return "A" if letter.isupper() else "a"
    return "o"


def _has_case(word: str) -> bool:
    return word.isascii() or word.upper() != word.lower()


class Vocabulary:
    """Words of one meaning.

    A word of letters with capitals must be a whole word of the name, or end a compound if it is long. Scripts
    without capitals write no blanks, so there a word counts wherever it is in the name.
    """

    def __init__(self, *words: str) -> None:
        every = [folded(word) for text in words for word in text.split()]
        self.whole = frozenset(word for word in every if _has_case(word))
        self.inside = tuple(word for word in every if not _has_case(word))

    def names(self, name: str) -> bool:
        """Return whether a name has one of the words."""
        return any(self.is_word(word) for word in words_of(name))

    def is_word(self, word: str) -> bool:
        """Return whether a word of a name is, or holds, one of the words."""
        if word in self.whole or any(part in word for part in self.inside):
            return True
        return any(len(part) >= LONG and word.endswith(part) for part in self.whole)

    def end(self, name: str) -> bool:
        """Return whether a name ends with one of the words."""
        said = words_of(name)
        if not said:
            return False
        last = said[-1]
        return (
            last in self.whole
            or last.endswith(self.inside)
            or any(len(part) >= LONG and last.endswith(part) for part in self.whole)
        )


IDENTITY = Vocabulary("id uuid guid key 아이디 식별자 識別子 标识 標識")
NUMBER = Vocabulary(
    "no nr num number nummer numero code ref 번호 코드 番号 コード 编号 編號 号码 號碼 账号 帳號 号"
)
"""Words at a name's end that make it an identity, where its values are as those of one."""
PERSONS = Vocabulary(
    "customer client patient user member account subscriber person employee student passenger driver",
    "borrower",
    "applicant policyholder household subject donor visitor player tenant",
    "고객 회원 환자 사용자 계정 직원 학생 가입자 顧客 会員 患者 利用者 社員 学生 契約者 客户 客戶",
    "用户 用戶 会员 會員 病人",
    "kunde kunden patienten mitglied nutzer benutzer versicherte versicherter mitarbeiter konto",
    "abonne adherent utilisateur salarie cliente paciente usuario socio miembro cuenta empleado",
)
"""Who or what several rows may belong to."""
THINGS = Vocabulary(
    "product sku item article merchant store shop branch city region zip plz postcode postal",
    "postalcode model",
    "category type class grade version color colour icd diagnosis airport station currency country state",
    "상품 제품 매장 지점 우편 지역 商品 製品 店舗 郵便 地域 产品 門店 门店 邮编 郵編 地区 produkt",
    "artikel filiale",
    "produit magasin producto tienda codigo",
)
"""Codes that are categories: of them a model is to learn."""
SENSITIVE = Vocabulary(
    "gender sex race ethnicity ethnic religion nationality caste",
    "geschlecht rasse ethnie ethnizitat konfession staatsangehorigkeit nationalitat hautfarbe",
    "sexe ethnique nationalite",
    "sexo raza etnia nacionalidad",
    "성별 인종 민족 종교 국적 性別 人種 民族 宗教 国籍 性别 种族 種族 國籍",
)
SENSITIVE_PAIRS = Vocabulary("genre genero")
"""These are gender only where there are two or three values: of films and music they are something else."""
PERSONAL = Vocabulary(
    "age marital senior disability disabled pregnant native foreign citizen",
    "alter familienstand behinderung schwanger migrationshintergrund",
    "matrimonial handicap enceinte etranger edad discapacidad embarazada extranjero",
    "나이 연령 결혼 혼인 장애 임신 외국인 年齢 婚姻 配偶 障害 妊娠 外国人 年龄 年齡 残疾 殘疾 怀孕",
    "懷孕 外國人",
)
TARGETS = Vocabulary(
    "target label class outcome y 타깃 타겟 라벨 레이블 정답 ラベル 目的変数 正解 标签 標籤 目标 目標",
    "zielvariable zielgrosse etiquette cible objetivo etiqueta",
)
OUTCOMES = Vocabulary(
    "churn churned default defaulted fraud survived converted cancelled canceled repaid",
    "해지 이탈 연체 부도 사기 전환 解約 離脱 退会 延滞 不正 成約 流失 违约 違約 欺诈 詐欺 逾期",
    "kundigung abgewandert ausfall betrug resiliation desabonnement defaut fraude abandono impago baja",
)
WHETHER = Vocabulary("여부 有無 有无 是否")
"""Names of columns that answer yes or no."""
MOMENTS = Vocabulary(
    "event timestamp updated observed recorded date time ts at",
    "일시 날짜 시각 시간 거래일 기준일 日時 日付 時刻 日期 时间 時間",
    "datum zeit zeitpunkt zeitstempel fecha hora heure horodatage",
)
EARLIER = Vocabulary(
    "birth born signed signup joined opened start started created first",
    "가입 생년월일 출생 등록 개설 生年月日 出生 誕生 登録 入会 開設 注册 註冊 开户 開戶",
    "geburt geburtsdatum geburtstag beginn eintritt naissance inscription ouverture nacimiento alta",
    "apertura",
)
PREDICTED = Vocabulary("pred predicted prediction proba probability score 예측 확률 予測 確率 预测 預測 概率")

NO_LABEL = frozenset({"na", "n/a", "nan", "null", "#n/a", "#na", "<na>", "nat", "?", "\\n"})
"""Words that stand for no label where the others are classes; ``none`` and ``-`` may be classes."""
NO_WORDS = frozenset(
    map(
        folded,
        [
            "no",
            "n",
            "false",
            "f",
            "0",
            "nein",
            "non",
            "não",
            "아니오",
            "아니요",
            "いいえ",
            "否",
            "無",
            "无",
            "negative",
            "neg",
        ],
    )
)
YES_WORDS = frozenset(
    map(
        folded,
        [
            "yes",
            "y",
            "true",
            "t",
            "1",
            "ja",
            "oui",
            "o",
            "si",
            "sí",
            "sim",
            "예",
            "네",
            "はい",
            "是",
            "有",
            "positive",
            "pos",
        ],
    )
)
NOT = ("not", "non", "no", "nicht", "kein", "pas", "미", "비", "無", "未", "不", "非", "无")


def is_truth(words: Iterable[str]) -> bool:
    """Return whether words are a yes and a no, in a language that is known."""
    said = {folded(word.strip()) for word in words}
    return len(said) == 2 and len(said & YES_WORDS) == len(said & NO_WORDS) == 1


def positive_word(words: Iterable[str], name: str) -> str | None:
    """Return which of two classes scores are for: yes, or the one named like the target; else ``None``.

    :param words: the two classes as the source writes them.
    :param name: the target's name.
    """
    both = tuple(words)
    if len(both) != 2:
        return None
    said = [folded(_number_text(word)) for word in both]
    for fits in (_means_yes, _is_negated_by, _above):
        chosen = [
            word for word, own, other in zip(both, said, reversed(said), strict=True) if fits(own, other)
        ]
        if len(chosen) == 1:
            return chosen[0]
    named = [word for word, own in zip(both, said, strict=True) if _named_like(own, name)]
    return named[0] if len(named) == 1 else None


def _number_text(word: str) -> str:
    return word.strip().removesuffix(".0")


def _means_yes(own: str, other: str) -> bool:
    return own in YES_WORDS and other in NO_WORDS


def _is_negated_by(own: str, other: str) -> bool:
    return any(re.fullmatch(rf"{no}[\s_-]*{re.escape(own)}", other) for no in NOT)


def _above(own: str, other: str) -> bool:
    return own.startswith(">") and other.startswith("<")


def _named_like(own: str, name: str) -> bool:
    """Return whether a class and a word of the target's name begin alike: ``churn`` of ``churned``."""
    said = words_of(own)
    if not said or said[0] in NOT:
        return False
    return any(_alike(said[0], word) for word in words_of(name))


def _alike(own: str, word: str) -> bool:
    least = 3 if _has_case(own) else 2
    shorter, longer = sorted((own, word), key=len)
    return len(shorter) >= least and longer.startswith(shorter)
