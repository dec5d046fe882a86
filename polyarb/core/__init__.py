"""The C core, one typed module per folder of ``csrc/``; nothing outside sees a ``cdata``."""

from polyarb.core.digest import checksum_address, keccak256

__all__ = ["checksum_address", "keccak256"]
