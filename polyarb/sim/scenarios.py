"""
Scenarios: what a venue is made of, as TOML, built in or from a file.

    about = "One line for the list"
    [venue]       # members of VenueConfig
    [market]      # preset = "...", and the members of MarketConfig that differ from it
    [catalogue]   # size = MARKETS, gamma = FILE, books = FILE
    [[fault]]     # name, and whatever FaultSpec has
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from polyarb.errors import MalformedError
from polyarb.sim import universe
from polyarb.sim.config import VenueConfig, decode
from polyarb.sim.faults import read_spec
from polyarb.sim.mishaps import FaultSpec
from polyarb.sim.participants import PRESETS, MarketConfig

BUILT_IN: Final = Path(__file__).parent / "scenarios"
DEFAULT: Final = "default"


class CatalogueConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    What trades.

    Attributes:
        size: Markets to make from the seed; 0 for as many as it takes to show every kind. With
            `gamma`: how many markets at most; the first whole events that fit; 0 for all.
        gamma: File of Gamma events or markets to load instead.
        books: File of captured books that the markets open with.
    """

    size: Annotated[int, msgspec.Meta(ge=0, le=universe.MOST)] = 0
    gamma: str = ""
    books: str = ""


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A venue to be."""

    name: str
    about: str = ""
    venue: VenueConfig = VenueConfig()
    market: MarketConfig = MarketConfig()
    catalogue: CatalogueConfig = CatalogueConfig()
    faults: tuple[FaultSpec, ...] = ()

    def stocked(self, *, size: int = 0, gamma: str = "", books: str = "") -> "Scenario":
        """Return the same with another catalogue, as far as it is given."""
        given = {"size": size, "gamma": gamma, "books": books}
        changed = {name: value for name, value in given.items() if value}
        return msgspec.structs.replace(
            self, catalogue=msgspec.structs.replace(self.catalogue, **changed)
        )


def built_in() -> dict[str, Scenario]:
    """Return every built-in scenario by name."""
    return {path.stem: read(path) for path in sorted(BUILT_IN.glob("*.toml"))}


def find(name: str) -> Scenario:
    """
    Return a scenario: a built-in one by its name, or the one in a ``.toml`` file.

    Raises:
        MalformedError: There is none, or it cannot be used; says what is allowed.
    """
    if name.endswith(".toml"):
        return read(Path(name))
    path = BUILT_IN / f"{name}.toml"
    if Path(name).name != name or not path.is_file():
        names = ", ".join(sorted(found.stem for found in BUILT_IN.glob("*.toml")))
        raise MalformedError(f"no scenario {name!r}; allowed: {names}, or a file FILE.toml")
    return read(path)


def read(path: Path) -> Scenario:
    """Return the scenario in a file; raises MalformedError naming file, key and value."""
    try:
        told = tomllib.loads(path.read_text())
    except OSError as error:
        raise MalformedError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MalformedError(f"{path}: no TOML: {error}") from None
    about = told.pop("about", "")
    tables = {name: told.pop(name, {}) for name in ("venue", "market", "catalogue")}
    faults = told.pop("fault", [])
    if told:
        raise MalformedError(
            f"{path}: unknown {next(iter(told))!r}; allowed: about, [venue], [market], "
            "[catalogue], [[fault]]"
        )
    for name, table in (*tables.items(), *(("fault", fault) for fault in _list(path, faults))):
        if not isinstance(table, dict):
            raise MalformedError(f"{path}: {name} = {table!r} is no table")
    catalogue = decode(CatalogueConfig, tables["catalogue"], f"{path}: [catalogue]")
    return Scenario(
        name=path.stem,
        about=str(about),
        venue=decode(VenueConfig, tables["venue"], f"{path}: [venue]"),
        market=_market(tables["market"], f"{path}: [market]"),
        catalogue=msgspec.structs.replace(
            catalogue,
            gamma=_beside(path, catalogue.gamma),
            books=_beside(path, catalogue.books),
        ),
        faults=tuple(_fault(fault, str(path)) for fault in faults),
    )


def _list(path: Path, faults: object) -> list[object]:
    if not isinstance(faults, list):
        raise MalformedError(f"{path}: fault = {faults!r} is no list of tables; write [[fault]]")
    return faults


def _fault(table: dict[str, Any], where: str) -> FaultSpec:
    try:
        return read_spec(table)
    except MalformedError as error:
        raise MalformedError(f"{where}: {error}") from None


def _beside(path: Path, name: str) -> str:
    """Return a file named in a scenario as seen from here: its name counts from the scenario."""
    return str(path.parent / name) if name else ""


def _market(table: dict[str, Any], where: str) -> MarketConfig:
    given = dict(table)
    preset = given.pop("preset", DEFAULT)
    if not isinstance(preset, str) or preset not in PRESETS:
        raise MalformedError(f"{where} preset = {preset!r}; allowed: {', '.join(PRESETS)}")
    whole = {**msgspec.structs.asdict(PRESETS[preset]), **given}
    return decode(MarketConfig, whole, where, besides=("preset",))
