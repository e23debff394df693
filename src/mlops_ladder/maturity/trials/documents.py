"""Trials and faults of documents: model card, datasheet, runbooks."""

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.doc import ROW
from mlops_ladder.maturity.sandbox import Copy
from mlops_ladder.maturity.trials.project import ask_project

CARD, SHEET = "MODEL_CARD.md", "DATASHEET.md"

Words = dict[str, str]


def edit_card(copy: Copy) -> Words:
    """Change one digit of one score of the card; return its metric."""
    text = copy.text(CARD)
    rows = list(ROW.finditer(text))
    digits = [at for row in rows for at in range(*row.span()) if text[at] in "123456789"]
    digits = [at for at in digits if not text[at - 1].isalpha()]
    if not digits:
        raise Unknown(f"{CARD}: no number in it to edit")
    at = copy.random.choice(digits)
    copy.write(CARD, text[:at] + other_digit(copy, text[at]) + text[at + 1 :])
    return {"metric": next(row[1] for row in rows if row.start() <= at < row.end())}


def other_digit(copy: Copy, digit: str) -> str:
    """Return another digit than this one."""
    return str((int(digit) + copy.random.randint(1, 8)) % 10)


def count_rows(copy: Copy) -> Words:
    """Return the number of rows of the data, as people write it."""
    return {"rows": f"{ask_project(copy, 'rows', 'count_rows'):,}"}


def edit_datasheet(copy: Copy) -> None:
    """Change a digit in the line of a column."""
    text = copy.text(SHEET)
    lines = [line for line in text.splitlines() if line.startswith("| `") and line[-3].isdigit()]
    if not lines:
        raise Unknown(f"{SHEET}: no column of numbers in it")
    line = copy.random.choice(lines)
    copy.write(SHEET, text.replace(line, line[:-3] + other_digit(copy, line[-3]) + line[-2:]))
