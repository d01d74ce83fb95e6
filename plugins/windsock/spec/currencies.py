"""Which currency a sign beside a number is: a sign and a code of the same one are the same."""

from __future__ import annotations

import re

SIGNS = {
    "$": "USD", "US$": "USD", "C$": "CAD", "CA$": "CAD", "A$": "AUD", "AU$": "AUD", "R$": "BRL",
    "MX$": "MXN", "€": "EUR", "£": "GBP", "¥": "JPY", "円": "JPY", "元": "CNY", "₩": "KRW", "원": "KRW",
    "＄": "USD", "￡": "GBP", "￥": "JPY", "￦": "KRW",  # of full width
    "₹": "INR", "Rs": "INR", "Rs.": "INR", "₽": "RUB", "₺": "TRY", "zł": "PLN", "Kč": "CZK", "Ft": "HUF",
    "kr": "kr", "kr.": "kr", "₴": "UAH", "₫": "VND", "฿": "THB", "₪": "ILS", "₱": "PHP", "₦": "NGN",
}  # fmt: skip
"""What a sign stands for where no other one is meant; ``kr`` is of several countries and stays ``kr``."""
CODES = (
    *("USD", "EUR", "GBP", "JPY", "CNY", "KRW", "INR", "CHF", "CAD", "AUD", "SEK", "NOK", "DKK", "PLN"),
    *("CZK", "HUF", "BRL", "MXN", "RUB", "TRY", "UAH", "VND", "THB", "ILS", "PHP", "NGN"),
)
DOLLARS = re.compile(r"[A-Z]{1,2}\$")


def currency_of(sign: str) -> str:
    """Return the currency that a sign or a code beside a number is; empty if it is none."""
    if sign in CODES:
        return sign
    return SIGNS.get(sign, sign if DOLLARS.fullmatch(sign) else "")
