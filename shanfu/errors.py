"""What can break. A decline is not here: outcomes are values, only breakage raises.

    ShanfuError
      DecodeError      bytes are not what the standard says
      ProtocolError    a peer (or we) spoke out of turn
        IllegalEvent   the life-cycle table has no such step
      IntegrityError   MAC, cryptogram, signature, certificate, check value wrong
      KeyUseError      key missing, wrong usage, wrong mode
      LinkError        LinkTimeout, LinkClosed
      StoreError       Conflict, NotFound, StoreGone, StoreVersion
      ConfigError      a setting, option or file is wrong

Messages read *subject: what is, what should be (where the rule is)*, for instance
``DE55/9F36: 1 byte, ATC has 2 (EMV B3 A1)``. They never hold a PAN, a PIN or a key.
"""

from enum import StrEnum

__all__ = [
    "ConfigError", "Conflict", "DecodeError", "Fault", "IllegalEvent", "IntegrityError", "KeyUseError", "LinkClosed",
    "LinkError", "LinkTimeout", "NotFound", "ProtocolError", "ShanfuError", "StoreError", "StoreGone", "StoreVersion",
]  # fmt: skip


class ShanfuError(Exception):
    """Root of everything that Shanfu raises on purpose."""


class Fault(StrEnum):
    """What kind of thing is wrong with undecodable bytes, for programs; the message says it for people."""

    INCOMPLETE = "incomplete"  # fewer bytes than the outermost length announces: a stream reader would wait
    TRUNCATED = "truncated"  # the announced bytes end inside an element
    TRAILING = "trailing"  # bytes are left after the last element
    LENGTH = "length"  # a length is over its limit, or differs from what the standard fixes
    FORMAT = "format"  # digits, characters or structure are not of the element's format
    UNKNOWN = "unknown"  # the dialect has no such element
    MISSING = "missing"  # an element that must be there is absent
    LIMIT = "limit"  # deeper, longer or more than we are willing to read


class DecodeError(ShanfuError):
    """Bytes are not what the standard says.

    `path` names the place ("DE55/9F10"), `offset` counts bytes from the start of the input that the caller gave,
    `spec` is the clause that was broken, `context` a few bytes around the place as hex with sensitive digits masked.
    """

    def __init__(
        self,
        what: str,
        *,
        fault: Fault = Fault.FORMAT,
        path: str = "",
        offset: int = 0,
        spec: str = "",
        context: str = "",
    ) -> None:
        self.what, self.fault, self.path, self.offset, self.spec, self.context = (
            what,
            fault,
            path,
            offset,
            spec,
            context,
        )
        super().__init__(what)

    def __str__(self) -> str:
        subject = self.path or "input"
        where = f" at byte {self.offset}" + (f", near {self.context}" if self.context else "")
        return f"{subject}: {self.what}{where}" + (f" ({self.spec})" if self.spec else "")

    def under(self, path: str, offset: int = 0) -> "DecodeError":
        """Return the same fault as seen from the enclosing structure: path prefixed, offset moved."""
        joined = f"{path}/{self.path}" if self.path else path
        return type(self)(
            self.what, fault=self.fault, path=joined, offset=self.offset + offset, spec=self.spec, context=self.context
        )


class ProtocolError(ShanfuError):
    """A peer (or we) spoke out of turn; `by` names who."""

    def __init__(self, what: str, *, by: str = "") -> None:
        self.by = by
        super().__init__(f"{by}: {what}" if by else what)


class IllegalEvent(ProtocolError):
    """The life-cycle table has no such step."""


class IntegrityError(ShanfuError):
    """A MAC, cryptogram, signature, certificate or check value is wrong."""


class KeyUseError(ShanfuError):
    """A key is missing, or its usage, algorithm or mode forbids the operation."""


class LinkError(ShanfuError):
    """A link to a peer failed."""


class LinkTimeout(LinkError):
    """No answer within the agreed time; whether the peer acted is unknown."""


class LinkClosed(LinkError):
    """The link is gone, or was never there: the peer cannot be reached."""


class StoreError(ShanfuError):
    """A database refused or failed."""


class Conflict(StoreError):
    """The row exists already with other contents, or another writer owns the database."""


class NotFound(StoreError):
    """There is no such row."""


class StoreGone(StoreError):
    """The database is lost (disk full, read-only, server down): answer nobody, reopen."""


class StoreVersion(StoreError):
    """The data folder was written by a newer version, or is not ours."""


class ConfigError(ShanfuError):
    """A setting, an option or a file is wrong; the text names it and the nearest right one."""
