"""What all reasons of hosts have: a name, a response code and words for people.

A refusal is a value. Each host has its own table of reasons; a row knows the DE39 that goes back, a phrase in English and
Chinese, and whether trying again can help. Journals and events keep the name.
"""

from enum import Enum
from typing import Self

__all__ = ["HostReason"]


class HostReason(Enum):
    """A named outcome: code (DE39), English, Chinese, whether trying again can help."""

    code: str
    en: str
    zh: str
    retryable: bool

    def __new__(cls, code: str, en: str, zh: str, retryable: bool) -> Self:
        """Build a row of the table; the value is its English words, which differ in every row."""
        member = object.__new__(cls)
        member._value_ = en
        member.code, member.en, member.zh, member.retryable = code, en, zh, retryable
        return member

    @property
    def approved(self) -> bool:
        """Whether the answer is 00."""
        return self.code == "00"
