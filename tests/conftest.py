"""What holds for every test: names that do not change from one process to the next."""

from typing import Any


def pytest_make_parametrize_id(val: Any) -> str | None:
    """Name a function by its name; by its address, the workers would collect different tests."""
    return str(val.__name__).strip("<>") if callable(val) and hasattr(val, "__name__") else None
