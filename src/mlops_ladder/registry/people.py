"""People: they are compared by name and by address."""

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Person:
    """A person by name and e-mail address; one of the two may be empty."""

    name: str
    email: str = ""

    @classmethod
    def parse(cls, text: str) -> "Person":
        """Return the person in `Name <address>`, a name, or an address."""
        name, _, email = text.partition("<")
        if not email and re.fullmatch(r"\S+@\S+", name.strip()):
            return cls("", name.strip())
        return cls(" ".join(name.split()), email.strip("> "))

    def is_same(self, other: "Person") -> bool:
        """Return whether name or address are equal, without case and without +suffix."""
        pairs = zip(self.normalized, other.normalized, strict=True)
        return any(mine and mine == theirs for mine, theirs in pairs)

    @property
    def normalized(self) -> tuple[str, str]:
        """Name and address in lower case; the address without what follows a +."""
        name, at, host = self.email.casefold().partition("@")
        return self.name.casefold(), name.partition("+")[0] + at + host

    def is_among(self, people: Iterable["Person"]) -> bool:
        """Return whether one of these people is the same."""
        return any(self.is_same(other) for other in people)

    def __str__(self) -> str:
        both = self.name and self.email
        return f"{self.name} <{self.email}>" if both else self.name or self.email
