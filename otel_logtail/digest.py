"""BLAKE2b without ``hashlib``, whose import loads OpenSSL: 4 MiB of each process, and a tenth of a start."""

try:
    from _blake2 import blake2b as blake2b
except ImportError:  # CPython can be built with OpenSSL's implementation alone
    from hashlib import blake2b as blake2b
