"""A low-latency arbitrage engine for prediction markets."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("polyarb")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+source"
