"""Values that look personal: e-mail addresses, phone numbers, account numbers (IBAN)."""

import re
from collections.abc import Callable, Container, Iterator
from dataclasses import replace

import pandas as pd

from mlops_ladder.data.casting import broken
from mlops_ladder.data.contract import Breach, Contract
from mlops_ladder.privacy.rules import reaching

EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[^\W\d_]{2,}")
# With the country's number, or as in North America.  Digits alone are as often an order's number.
PHONE = re.compile(
    r"(?<![\w+])\+[1-9]\d{0,2}(?:[ ./()-]{0,2}\d){7,12}(?!\w)"
    r"|(?<![\w.-])(?:\(\d{3}\) ?|\d{3}[.-])\d{3}[.-]\d{4}(?![\w.-])"
)
IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")


def is_iban(text: str) -> bool:
    """Does it hold an account number whose check digits are right (ISO 7064, modulo 97)?"""
    for found in IBAN.findall(text):
        number = found.replace(" ", "")
        if int("".join(str(int(it, 36)) for it in number[4:] + number[:4])) % 97 == 1:
            return True
    return False


LOOKS: dict[str, Callable[[str], object]] = {
    "an e-mail address": EMAIL.search,
    "a phone number": PHONE.search,
    "an IBAN": is_iban,
}


def personal(frame: pd.DataFrame, contract: Contract, allowed: Container[str]) -> Iterator[Breach]:
    """A breach for each column of words that reaches the model or the log and looks personal.

    It names rows, and no value.
    """
    for name in reaching(contract):
        has_words = contract.columns[name].kind in ("category", "text")
        if has_words and name in frame.columns and name not in allowed:
            values = frame[name].astype("object").where(frame[name].notna(), "").astype("str")
            words = pd.Series(values.unique())
            for what, looks in LOOKS.items():
                seen = words[[bool(looks(word)) for word in words]]
                if len(seen):
                    rule = f"hold {what}; take it out, or see docs/privacy.md"
                    wrong = values.isin(seen).to_numpy()
                    yield replace(broken(values.rename(name), wrong, rule), example="")
