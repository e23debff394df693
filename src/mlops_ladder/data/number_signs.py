"""Signs beside the digits of a number: currencies, minus signs and spaces between thousands."""

import re

CODES = "EUR|USD|GBP|CHF|PLN|CZK|SEK|NOK|DKK|JPY|TRY|RUB|INR|BRL|CAD|AUD|HUF|kr|zł|Kč|Fr|Ft|руб|Rs"
SIGNS = rf"(?:[A-Z]?[A-Z]?[$]|[¢-¥฿₠-⃀%円元]|(?:{CODES})\.?)"
# Minus, sign and digits in any order, or the digits of a negative number in brackets or before it
AMOUNT = re.compile(
    rf"(?P<open>\()?(?P<minus>[-+−]?)\s*(?:{SIGNS}\s*)?(?P<inner>[-+−]?)(?P<digits>[\d.,'’].*?|)"
    rf"\s*(?:{SIGNS}\s*)?(?P<after>[-−]?)(?:\s*{SIGNS})?(?(open)\))"
)
SPACES = "\u00a0\u202f\u2009"  # each stands for a blank between thousands


def strip_number_signs(value: object) -> str:
    """Return a number as text without signs of currency, its minus in front; else its text."""
    text = str(value).strip().translate(dict.fromkeys(map(ord, SPACES), " ") | {ord("’"): "'"})
    parts = AMOUNT.fullmatch(text)
    if not parts or not parts["digits"]:
        return text
    signs = {parts["minus"], parts["inner"], parts["after"], "-" if parts["open"] else ""}
    return ("-" if signs & {"-", "−"} else "") + parts["digits"]
