"""The system's libcrypto (OpenSSL ≥ 3.0), opened through cffi without compiling anything.

Three engines stand on it: `evp` (block ciphers), `rsa` (private keys) and `sm2_curve` (points). Each declares what it calls
and says what it does on a machine without the library; nobody else comes here.
"""

from typing import Any

__all__ = ["LIBRARIES", "open_libcrypto"]

# The versioned names only: an unversioned libcrypto may have another ABI, and macOS aborts a process that loads it.
LIBRARIES = ("libcrypto.so.3", "libcrypto.3.dylib", "libcrypto-3-x64.dll")


def open_libcrypto(declarations: str, needed: tuple[str, ...]) -> tuple[Any, Any]:
    """Return (ffi, library) with these C declarations; OSError, ImportError or AttributeError when it cannot serve.

    Every function in `needed` is looked up here, so a build without one is found out now and not in the middle of a payment.
    """
    import cffi

    ffi = cffi.FFI()
    ffi.cdef(declarations)
    for name in LIBRARIES:
        try:
            library = ffi.dlopen(name)
        except OSError:
            continue
        for function in needed:
            getattr(library, function)
        return ffi, library
    raise OSError("no libcrypto of OpenSSL 3")
