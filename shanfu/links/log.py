"""Log lines of every process: one JSON object a line, and nothing secret in it.

Redaction is the last step before a line is written, so it also covers tracebacks and what libraries log: runs of 12 or more
digits are card numbers until shown otherwise (PCI DSS 3.4), long runs of hexadecimal digits are keys or message bytes, and
a value under a name like `pan`, `pin`, `track` or `key` is not written at all. Names that carry public identifiers of such
a form (`trace`, `rrn`) are listed here. `configure` is called once by the door that starts a process.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

from shanfu.errors import ShanfuError
from shanfu.pan import PAN, mask_pan

__all__ = ["configure", "fault_text", "redact"]

_SECRET_NAMES = frozenset(
    {"cvc", "cvc2", "cvn", "cvn2", "cvv", "cvv2", "key", "keys", "lmk", "luk", "pan", "pin", "pinblock", "secret", "token"}
    | {"track", "track1", "track2"}
)
_PUBLIC_NAMES = frozenset({"also", "level", "logger", "rrn", "timestamp", "trace", "trace_id"})
# A digit run may be grouped by blanks or hyphens as printed on a card; a track goes on after its separator D or =.
_DIGITS = re.compile(r"\d(?:[ -]?\d){11,}(?:[D=]\d*)?")
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{2}){8,}(?![0-9A-Za-z])")
_NAMED = re.compile(r"(?i)\b(pan|pin|cvv2?|cvn2?|track2?|key)(\s*[=:]\s*)(['\"]?)[^\s,'\")]+")


def _mask_digits(match: re.Match[str]) -> str:
    digits = re.sub(r"\D.*$", "", match.group().replace(" ", "").replace("-", ""))
    return mask_pan(digits) if len(digits) <= 19 else f"<{len(digits)} digits>"


def _mask_text(text: str) -> str:
    text = _NAMED.sub(r"\1\2\3***", text)
    text = _HEX.sub(lambda match: match.group() if match.group().isdigit() else f"<{len(match.group()) // 2} bytes>", text)
    return _DIGITS.sub(_mask_digits, text)


def _mask(name: str, value: Any) -> Any:
    if name in _PUBLIC_NAMES or value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, PAN):
        return str(value)
    if _SECRET_NAMES.intersection(name.lower().split("_")):
        return "***"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, int):
        return value if name.endswith("_ms") or abs(value) < 10**11 else _mask_text(str(value))
    if isinstance(value, Mapping):
        return {str(key): _mask(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_mask(name, item) for item in value]
    return _mask_text(value if isinstance(value, str) else repr(value))


def redact(logger: Any, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask what must not be written; a structlog processor.

    >>> redact(None, "info", {"event": "card 6228480000000005", "pin": "123456", "raw": b"abc"})
    {'event': 'card 622848******0005', 'pin': '***', 'raw': '<3 bytes>'}
    """
    del logger, method
    return {name: _mask(name, value) for name, value in line.items()}


def configure(*, level: str = "info", stream: TextIO | None = None) -> None:
    """Write the logs of this process, ours and the libraries', to `stream` (standard error) as redacted JSON lines."""
    common: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*common, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        cache_logger_on_first_use=False,  # a module's logger may be made before the door configures
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=common,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            redact,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("httpx", "httpcore"):  # they tell of each request; our own lines do, with what matters
        logging.getLogger(name).setLevel(logging.WARNING)


def fault_text(fault: BaseException) -> str:
    """Return what a log may say of a fault: our own errors hold no secrets, of others only the kind and the place.

    >>> fault_text(KeyError("6228480000000005"))
    'KeyError'
    """
    if isinstance(fault, ShanfuError):
        return f"{type(fault).__name__}: {fault}"
    trace = fault.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f" in {trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else ""
    if isinstance(fault, OSError) and fault.strerror:
        return f"{type(fault).__name__}: {fault.strerror}"
    return type(fault).__name__ + where
