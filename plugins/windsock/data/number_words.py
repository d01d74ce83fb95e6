"""Numbers as people write them: which one form fits a column's different words, and their values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from windsock.data.column_text import Fit, all_match, as_numpy, matches, replaced
from windsock.records import ColumnKind, SourceForm, ValueForm
from windsock.spec.currencies import currency_of

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

INFINITE = ("inf", "+inf", "-inf", "infinity", "+infinity", "-infinity")
PLAIN = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?$"
WHOLE = r"^[+-]?[0-9]+$"
LEADING_ZERO = r"^[+-]?0[0-9]"
LONGEST_WHOLE = 15
"""Digits of a whole number that a double holds, whatever they are; longer ones are names: card numbers."""
LONGEST_DECIMAL = 17
"""Digits from which on two different numbers may be one double."""
CURRENCY = (
    r"(?:[A-Z]{1,2}\$|[$€£¥₩₹₽₺₴₫฿₪₱₦＄￡￥￦]|USD|EUR|GBP|JPY|CNY|KRW|INR|CHF|CAD|AUD|SEK|NOK|DKK|PLN|CZK|HUF"
    r"|BRL|MXN|RUB|TRY|kr\.?|zł|Kč|Ft|Rs\.?|원|円|元)"
)
WRITTEN = (
    rf"^(?P<opened>\(?)(?P<lead>[+-]?)\s?(?P<before>{CURRENCY}?)\s?(?P<sign>[+-]?)"
    r"(?P<body>[0-9](?:[0-9.,' ]*[0-9.,])?|[.,][0-9]+)(?P<power>(?:[eE][+-]?[0-9]{1,4})?)(?P<behind>-?)"
    rf"\s?(?P<after>(?:{CURRENCY}|%|％)?)(?P<closed>\)?)$"
)
DECIMALS = (".", ",")
LAKH = "[1-9][0-9]?(,[0-9]{2})+,[0-9]{3}"
"""Groups as they are written in India: 12,34,567."""
THOUSANDS = ("", ",", ".", " ", "'")
FORMS = [
    ValueForm.model_validate({"decimal": decimal, "thousands": mark})
    for mark in THOUSANDS
    for decimal in DECIMALS
    if mark != decimal
]
BLANKS = (" ", "'")
"""Marks of thousands that never begin the decimals."""
MOST_FIT = 0.95
"""Share of numbers that the file's decimal sign must fit; else another one is tried where no key names it."""
TWO_READINGS = (
    "a comma or a point before three digits may part thousands or begin the decimals; "
    "`data.source.decimal` (and `data.source.thousands`) settles it"
)

MONEY_READINGS = (
    "behind each point or comma of this money are three digits: they may be thousands (1.200 is 1200) or "
    "decimals (1.2); `data.source.decimal`, or `decimal` of the column in `data.columns`, settles it"
)


@dataclass(frozen=True, kw_only=True)
class Written:
    """The parts of each word that may be a number.

    :param valid: which words are a number in some form.
    :param body: digits and the signs among them; empty where a word is none.
    :param unit: a currency, ``%``, or nothing.
    """

    valid: NDArray[Any]
    body: pa.Array
    power: pa.Array
    unit: NDArray[Any]
    negative: NDArray[Any]


def read_numbers(
    words: pa.Array, counts: NDArray[Any], form: ValueForm | None, *, held: bool = False
) -> Fit | None:
    """Return the numbers among a column's different words, by the one form that most of them fit.

    :param words: without blanks around them, none empty.
    :param counts: in how many rows each stands.
    :param form: what is known of the form: only what is set in it; ``None``: nothing.
    :param held: the form is the column's own and is kept to.
    :returns: ``None`` if they are names made of digits, or no word is a number.
    """
    if _may_be_plain(form, held=held) and all_match(words, PLAIN):
        return _plain(words, held=held)
    written = _written(words)
    infinite = matches(words, rf"(?i)^({'|'.join(INFINITE)})$".replace("+", r"\+"))
    if not written.valid.any():
        return None
    by_people = form is not None and "unit" in form.model_fields_set
    unit, of_unit = _unit(written, counts, form if held or by_people else None)
    read = _held(written, of_unit, form) if held and form else _chosen(written, of_unit, counts, form)
    if read is not None and unit["unit"] == "currency" and not (held or _by_people(form)):
        read = _without_groups(written, read)
    return None if read is None else _finished(read, words, infinite, unit, held=held)


def in_some_form(words: pa.Array) -> NDArray[Any]:
    """Return which words are numbers in one form or another; a name made of digits is none.

    The sign of a currency or a per cent sign may be any.
    """
    written = _written(words)
    fits = written.valid & False
    for one in FORMS if written.valid.any() else ():
        fits |= _fitting(written, written.valid, one.decimal, one.thousands)
    return fits


def are_names_of_digits(words: pa.Array) -> bool:
    """Return whether some words are whole numbers with a leading zero, or of too many digits: codes."""
    whole, digits = matches(words, WHOLE), _digits(words)
    codes = whole & ((digits > LONGEST_WHOLE) | matches(words, LEADING_ZERO))
    return bool((codes | (digits > LONGEST_DECIMAL)).any())


def is_either(form: ValueForm | None) -> bool:
    """Return whether nothing of a source says which sign begins the decimals, and it matters."""
    return isinstance(form, SourceForm) and form.either and "decimal" not in form.model_fields_set


def _may_be_plain(form: ValueForm | None, *, held: bool) -> bool:
    if form is None:
        return True
    if not held and form.thousands == ".":  # a point is no decimal sign then
        return False
    if not held and "decimal" not in form.model_fields_set:
        return not is_either(form)
    return form.decimal == "." and not (held and form.unit == "percent")


def _plain(words: pa.Array, *, held: bool) -> Fit | None:
    import numpy as np

    whole = all_match(words, WHOLE)
    longest = _digits(words)
    if whole and not held and (longest.max() > LONGEST_WHOLE or matches(words, LEADING_ZERO).any()):
        return None
    values = _floats(replaced(words, r"^\+", ""))
    fits = np.ones(len(words), dtype=bool)
    if whole and held:
        fits = longest <= LONGEST_WHOLE
    return _exact(Fit(kind=_kind(whole), values=values, fits=fits), words, longest)


def _kind(whole: bool) -> ColumnKind:
    return ColumnKind.INTEGER if whole else ColumnKind.NUMBER


def _digits(words: pa.Array) -> NDArray[Any]:
    import pyarrow.compute as pc

    mantissa = replaced(words, r"[eE].*$", "")
    digits = replaced(replaced(mantissa, r"[^0-9]", ""), r"^0+", "")
    return as_numpy(pc.utf8_length(digits))


def _exact(fit: Fit, words: pa.Array, digits: NDArray[Any]) -> Fit | None:
    """Return nothing where different numbers of many digits would become one; else say that digits go."""
    import pyarrow.compute as pc

    long = digits > LONGEST_DECIMAL
    if fit.kind is ColumnKind.INTEGER or not long.any():
        return fit
    shortened = replaced(words.filter(_mask(long)), r"(\.[0-9]*?)0+$", r"\1")
    cut = pc.count_distinct(shortened).as_py() - len(set(fit.values[long].tolist()))
    if cut > 0:
        return None
    still = _digits(shortened) > LONGEST_DECIMAL
    remark = f"of numbers with more than {LONGEST_DECIMAL} digits those beyond are not kept"
    return fit.noting(remark) if still.any() else fit


def _mask(flags: NDArray[Any]) -> pa.Array:
    import pyarrow as pa

    return pa.array(flags)


def _floats(texts: pa.Array) -> NDArray[Any]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return as_numpy(pc.cast(texts, pa.float64()))
    except pa.ArrowInvalid:  # beyond what a double holds
        return np.array([float(text) for text in texts.to_pylist()])


def _written(words: pa.Array) -> Written:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    clean = words
    if not pc.all(pc.string_is_ascii(words)).as_py():
        for found, by in ((r"[−﹣－]", "-"), (r"[\x{00A0}\x{202F}\x{2009}]", " "), (r"[’]", "'")):
            clean = replaced(clean, found, by)
    parts = pc.extract_regex(clean, WRITTEN)
    valid = parts.is_valid().to_numpy(zero_copy_only=False)

    def part(name: str) -> NDArray[Any]:
        texts = pc.fill_null(pc.struct_field(parts, name), "")
        return np.asarray(texts.to_numpy(zero_copy_only=False), dtype=object)

    def is_there(name: str, sign: str) -> NDArray[Any]:
        same = pc.equal(pc.fill_null(pc.struct_field(parts, name), ""), sign)
        return as_numpy(same)

    opened, minus = is_there("opened", "("), [is_there(name, "-") for name in ("lead", "sign", "behind")]
    plus = [is_there(name, "+") for name in ("lead", "sign")]
    signs = opened.astype(int) + sum(flag.astype(int) for flag in (*minus, *plus))
    valid &= (opened == is_there("closed", ")")) & (signs <= 1)
    before, after = part("before"), part("after")
    valid &= (before == "") | (after == "")
    sign = np.where(after == "", before, np.where(after == "％", "%", after))
    known = {one: currency_of(one) or one for one in set(sign.tolist())}
    unit = np.array([known[one] for one in sign.tolist()], dtype=object) if set(known) != {""} else sign
    body = pc.if_else(pa.array(valid), pc.fill_null(pc.struct_field(parts, "body"), ""), "")
    power = pc.fill_null(pc.struct_field(parts, "power"), "")
    negative = opened | minus[0] | minus[1] | minus[2]
    return Written(valid=valid, body=body, power=power, unit=unit, negative=negative)


def _unit(
    written: Written, counts: NDArray[Any], form: ValueForm | None
) -> tuple[dict[str, str], NDArray[Any]]:
    """Return the unit of a column with its currency, and which words are of it.

    A word without a sign is of the currency that the others have. One of another currency never fits.

    :param form: what is decided of both; ``None``: nothing is.
    """
    weights: dict[str, int] = {}
    for sign in set(written.unit[written.valid].tolist()):
        weights[sign] = int(counts[written.valid & (written.unit == sign)].sum())
    currencies = {sign: weight for sign, weight in weights.items() if sign not in ("", "%")}
    plain, percent = weights.get("", 0), weights.get("%", 0)
    unit = form.unit if form else ""
    if form is None:
        money = max(currencies.values(), default=0)
        unit = "percent" if percent > max(plain, money) else "currency" if money > 0 else ""
        if unit == "currency" and sum(currencies.values()) < 0.05 * plain:
            unit = ""
    if unit == "percent":
        return {"unit": unit}, written.valid & (written.unit == "%")
    fits = written.valid & (written.unit == "")
    if unit != "currency":
        return {"unit": unit}, fits
    currency = form.currency if form else ""
    if not currency and currencies:
        currency = max(currencies, key=lambda sign: (currencies[sign], sign))
    return {"unit": unit, "currency": currency}, fits | (written.valid & (written.unit == currency))


def _pattern(decimal: str, thousands: str) -> str:
    point = f"[{decimal}]"
    plain = f"[0-9]+({point}[0-9]*)?|{point}[0-9]+"
    grouped = f"|[1-9][0-9]{{0,2}}([{thousands}][0-9]{{3}})+({point}[0-9]*)?" if thousands else ""
    lakh = f"|{LAKH}({point}[0-9]*)?" if thousands == "," else ""
    return f"^({plain}{grouped}{lakh})$"


def _fitting(written: Written, of_unit: NDArray[Any], decimal: str, thousands: str) -> NDArray[Any]:
    fitting: NDArray[Any] = of_unit & matches(written.body, _pattern(decimal, thousands))
    return fitting


@dataclass(frozen=True, kw_only=True)
class _Numbers:
    """What words are by one form; ``whole`` are those without decimals."""

    values: NDArray[Any]
    fits: NDArray[Any]
    whole: NDArray[Any]
    form: ValueForm
    doubt: str = ""
    possible: NDArray[Any] | None = None


def _numbers(written: Written, fits: NDArray[Any], form: ValueForm) -> _Numbers:
    import numpy as np
    import pyarrow.compute as pc

    text = written.body
    if form.thousands:
        text = pc.replace_substring(text, form.thousands, "")
    if form.decimal != ".":
        text = pc.replace_substring(text, form.decimal, ".")
    text = pc.if_else(_mask(fits), _joined(text, written.power), "0")
    values = _floats(text)
    values = np.where(written.negative, -values, values)
    return _Numbers(values=values, fits=fits, whole=matches(text, WHOLE), form=form)


def _may_be(one: ValueForm, form: ValueForm | None) -> bool:
    """Return whether decimal sign and mark of thousands agree with what is known of the form."""
    decimal, mark = one.decimal, one.thousands
    if form is None:
        return True
    known = form.model_fields_set
    decided = "decimal" not in known or decimal == form.decimal
    return decided and (
        "thousands" not in known or (mark in ("", form.thousands) and decimal != form.thousands)
    )


def _joined(one: pa.Array, other: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(one, other, pa.scalar("", one.type))


def _chosen(
    written: Written, of_unit: NDArray[Any], counts: NDArray[Any], form: ValueForm | None
) -> _Numbers | None:
    """Read by the form that most words fit; where another one means other numbers, none of these fit."""
    read = _agreeing(written, of_unit, counts, form)
    if not isinstance(form, SourceForm) or not form.by_values:
        return read
    most = 0 if read is None else int(counts[read.fits].sum())
    if most >= MOST_FIT * int(counts[of_unit].sum()):
        return read
    known = {key: getattr(form, key) for key in form.model_fields_set - {"decimal", "by_values"}}
    other = _agreeing(written, of_unit, counts, SourceForm.model_validate({**known, "either": True}))
    return read if other is None or int(counts[other.fits].sum()) <= most else other


def _agreeing(
    written: Written, of_unit: NDArray[Any], counts: NDArray[Any], form: ValueForm | None
) -> _Numbers | None:
    """Read by the form that most words fit, of those that agree with what is known."""
    forms = [one for one in FORMS if _may_be(one, form)]
    found = [(_fitting(written, of_unit, one.decimal, one.thousands), one) for one in forms]
    weights = [int(counts[fits].sum()) for fits, _ in found]
    if not max(weights, default=0):
        return None
    best = [entry for entry, weight in zip(found, weights, strict=True) if weight == max(weights)]
    chosen = _numbers(written, *best[0])
    if chosen.form == ValueForm() and not is_either(form):
        return chosen
    for fits, other in best[1:]:
        differs = chosen.fits & fits & (_numbers(written, fits, other).values != chosen.values)
        if other.decimal != chosen.form.decimal and differs.any():
            return replace(
                chosen,
                fits=chosen.fits & ~differs,
                possible=chosen.fits,
                form=ValueForm(),
                doubt=TWO_READINGS,
            )
    return chosen


def _by_people(form: ValueForm | None) -> bool:
    """Return whether a person has said what the decimal sign is."""
    by_values = isinstance(form, SourceForm) and form.by_values
    return form is not None and "decimal" in form.model_fields_set and not by_values


def _without_groups(written: Written, read: _Numbers) -> _Numbers:
    """Return money without what may be thousands, where all its decimals are three digits: none has those."""
    point = read.form.decimal
    groups = read.fits & matches(written.body, rf"^[1-9][0-9]{{0,2}}[{point}][0-9]{{3}}$")
    decimals = read.fits & matches(written.body, f"[{point}]")
    if read.doubt or read.form.thousands or not groups.any() or (decimals & ~groups).any():
        return read
    return replace(read, fits=read.fits & ~groups, possible=read.fits, form=ValueForm(), doubt=MONEY_READINGS)


def _held(written: Written, of_unit: NDArray[Any], form: ValueForm) -> _Numbers:
    """Read by a form that is decided; a mark of thousands is new only where it can be nothing else."""
    fits = _fitting(written, of_unit, form.decimal, form.thousands)
    for mark in (mark for mark in THOUSANDS if mark and mark != form.decimal and not form.thousands):
        groups = f"([{mark}][0-9]{{3}})"
        least = 1 if mark in BLANKS else 2
        sure = rf"^([1-9][0-9]{{0,2}}({groups}{{{least},}}|{groups}+[{form.decimal}][0-9]*)"
        sure += f"|{LAKH}([.][0-9]*)?)$" if mark == "," else ")$"
        more = of_unit & ~fits & matches(written.body, sure)
        if more.any():
            return _numbers(written, fits | more, form.replace(thousands=mark))
    return _numbers(written, fits, form)


def _finished(
    read: _Numbers, words: pa.Array, infinite: NDArray[Any], unit: dict[str, str], *, held: bool
) -> Fit | None:
    import numpy as np

    fits, values, digits = read.fits, read.values, _digits(words)
    whole = not (fits & ~read.whole).any()
    plain = whole and not held and not unit["unit"] and not read.form.thousands
    if plain and (fits & ((digits > LONGEST_WHOLE) | matches(words, LEADING_ZERO))).any():
        return None
    fits = fits & ~(read.whole & (digits > LONGEST_WHOLE))
    if infinite.any() and fits.any():
        values = np.where(infinite, np.where(matches(words, "^-"), -np.inf, np.inf), values)
        fits, whole = fits | infinite, False
    form = read.form.replace(**unit)
    made = Fit(
        kind=_kind(whole), values=values, fits=fits, form=form, doubt=read.doubt, possible=read.possible
    )
    return _exact(made, words, np.where(fits, digits, 0))
