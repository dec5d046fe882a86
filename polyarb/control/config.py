"""
Configuration: TOML, overridden by ``POLYARB_<SECTION>_<KEY>``, checked as a whole.

Every key is declared once, below, with its range, default and meaning; what is read from a file or
from the environment is held against that, and an error names the key, the value and what is
allowed. Secrets are no part of it (`polyarb.exchange.credentials`).

Order, later wins: the defaults, the older names in the environment, the file, the environment.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from polyarb import errors
from polyarb.domain.money import CashE6, decimal_units

PREFIX: Final = "POLYARB_"
FILE_BYTES_MAX: Final = 1 << 20


class Style(StrEnum):
    """How the legs of a basket are ordered."""

    FAK = "fak"
    FOK = "fok"
    GTC = "gtc"


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file."""


Usd = Annotated[Decimal, Meta(description="dollars, at most 6 decimals")]
Whole = Annotated[int, Meta(ge=0, le=10**9)]
Millis = Annotated[int, Meta(ge=1, le=86_400_000)]
Url = Annotated[str, Meta(pattern=r"^((https?|wss?)://[^\s]+)?$", max_length=2048)]
Names = Annotated[tuple[str, ...], Meta(max_length=10_000)]


class Exchange(Section, frozen=True):
    """Where the exchange is; "" takes the embedded one in mode sim, Polymarket's otherwise."""

    clob_url: Url = ""
    market_ws_url: Url = ""
    user_ws_url: Url = ""
    gamma_url: Url = ""
    data_url: Url = ""
    relayer_url: Url = ""
    geoblock_url: Url = ""
    generation: Literal["auto", "v1", "v2", "v3"] = "auto"


class Account(Section, frozen=True):
    """Whose money; keys never stand here. paper_usd is what is pretended where nothing is real."""

    funder: Annotated[str, Meta(pattern="^(0x[0-9a-fA-F]{40})?$")] = ""
    signature_type: Annotated[int, Meta(ge=0, le=3)] = 3
    paper_usd: Usd = Decimal(10_000)


class Universe(Section, frozen=True):
    """Which markets."""

    events: Names = ()
    conditions: Names = ()
    tags: Names = ()
    min_volume_usd: Usd = Decimal(0)
    max_days: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    max_tokens: Annotated[int, Meta(ge=2, le=262_144)] = 4_000
    catalogue: str = ""


class Detection(Section, frozen=True):
    """Which relations, and what makes one worth trading."""

    builders: Names = ("complement", "negrisk_yes", "negrisk_no", "ladder", "range")
    relations: str = ""
    min_profit_usd: Usd = Decimal("0.01")
    min_profit_bps: Annotated[int, Meta(ge=0, le=10_000)] = 0
    min_profit_pct: Annotated[Decimal, Meta(description="percent of the cost")] = Decimal(0)
    min_annual_pct: Annotated[Decimal, Meta(description="percent a year")] = Decimal(0)
    same_market: bool = False


class Risk(Section, frozen=True):
    """What may be lost."""

    max_basket_usd: Usd = Decimal(200)
    max_loss_per_basket_usd: Usd = Decimal(100)
    max_open_baskets: Annotated[int, Meta(ge=1, le=1_000_000)] = 10
    max_event_usd: Usd = Decimal(1000)
    daily_loss_usd: Usd = Decimal(100)
    max_consecutive_errors: Annotated[int, Meta(ge=1, le=1_000_000)] = 5


class Execution(Section, frozen=True):
    """How a basket is bought; trade_size_usd is what one may cost, 0: as risk allows."""

    trading: bool = True
    style: Style = Style.FAK
    trade_size_usd: Usd = Decimal(0)
    slippage_ticks: Annotated[int, Meta(ge=0, le=100)] = 0
    cooldown_ms: Annotated[int, Meta(ge=0, le=86_400_000)] = 500
    order_timeout_ms: Millis = 3_000
    realise: Literal["auto", "merge", "hold"] = "auto"


class Book(Section, frozen=True):
    """Which books are trusted."""

    max_stale_ms: Millis = 1_500
    hard_stale_ms: Millis = 60_000
    warmup_timeout_ms: Millis = 10_000
    warmup_min_ready_fraction: Annotated[Decimal, Meta(description="0..1")] = Decimal("0.8")
    max_depth: Annotated[int, Meta(ge=0, le=9_999)] = 0
    tokens_per_connection: Annotated[int, Meta(ge=1, le=1_024)] = 200
    copies: Annotated[int, Meta(ge=1, le=2)] = 1


class Host(Section, frozen=True):
    """What of the machine is used."""

    cpu: Annotated[int, Meta(ge=0, le=4_095)] | None = None
    busy_poll: bool = False
    keep_warm_ms: Annotated[int, Meta(ge=0, le=60_000)] = 1
    lock_memory: bool = False


class Database(Section, frozen=True):
    """Where the journal is projected to; an address may hold a password."""

    url: str = "sqlite"

    def __repr__(self) -> str:
        return "Database(url=…)"


class Metrics(Section, frozen=True):
    """Where Prometheus finds them; port 0: nowhere."""

    port: Annotated[int, Meta(ge=0, le=65_535)] = 0


class Alerts(Section, frozen=True):
    """Where alerts go, as apprise spells addresses, which hold secrets."""

    urls: Names = ()
    per_minute: Annotated[int, Meta(ge=1, le=1_000)] = 20

    def __repr__(self) -> str:
        return f"Alerts(urls=({len(self.urls)}), per_minute={self.per_minute})"


class Journal(Section, frozen=True):
    """How safe the journal is."""

    fsync: Literal["never", "interval", "always"] = "interval"


class Arena(Section, frozen=True):
    """How much fits; 0 takes what the universe needs."""

    path: str = ""
    tokens: Annotated[int, Meta(ge=0, le=262_144)] = 0
    relations: Annotated[int, Meta(ge=0, le=262_144)] = 0
    depth: Annotated[int, Meta(ge=1, le=56)] = 10


class Config(Section, frozen=True):
    """All of it."""

    exchange: Exchange = Exchange()
    account: Account = Account()
    universe: Universe = Universe()
    detection: Detection = Detection()
    risk: Risk = Risk()
    execution: Execution = Execution()
    book: Book = Book()
    host: Host = Host()
    database: Database = Database()
    metrics: Metrics = Metrics()
    alerts: Alerts = Alerts()
    journal: Journal = Journal()
    arena: Arena = Arena()


def usd_e6(value: Decimal) -> CashE6:
    """Return a checked amount in micro-dollars."""
    return CashE6(decimal_units("usd", value, 6))


@dataclass(frozen=True, slots=True)
class Key:
    """One key as it is declared."""

    section: str
    name: str
    type: Any
    default: Any

    @property
    def secret(self) -> bool:
        """Whether a value may hold a secret, which no message shows."""
        return (self.section, self.name) in {("alerts", "urls"), ("database", "url")}

    @property
    def choices(self) -> tuple[str, ...]:
        """Return the words that are allowed, none where it is not a choice."""
        kind = _plain(self.type)
        if get_origin(kind) is Literal:
            return get_args(kind)
        return tuple(kind) if isinstance(kind, type) and issubclass(kind, StrEnum) else ()

    @property
    def dotted(self) -> str:
        """As messages and the reference name it."""
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        """The environment's name for it."""
        return f"{PREFIX}{self.section}_{self.name}".upper()


def keys() -> Iterator[Key]:
    """Yield every key, in the order of the reference."""
    for section, kind in get_type_hints(Config, include_extras=True).items():
        defaults = kind()
        for name, type_ in get_type_hints(kind, include_extras=True).items():
            yield Key(section, name, type_, getattr(defaults, name))


KEYS: Final = {(key.section, key.name): key for key in keys()}

OLDER: Final[Mapping[str, tuple[str, str]]] = {
    "BOOK_STORE_DEFAULT_MAX_STALE_MS": ("book", "max_stale_ms"),
    "BOOK_STORE_HARD_STALE_MS": ("book", "hard_stale_ms"),
    "BOOK_STORE_WARMUP_TIMEOUT_MS": ("book", "warmup_timeout_ms"),
    "BOOK_STORE_WARMUP_MIN_READY_FRACTION": ("book", "warmup_min_ready_fraction"),
    "BOOK_STORE_MAX_DEPTH": ("book", "max_depth"),
    "REAL_TRADING_ENABLED": ("execution", "trading"),
    "REAL_TRADE_SIZE": ("execution", "trade_size_usd"),
    "SLIPPAGE_ENABLED": ("execution", "slippage_ticks"),
    "ARB_MIN_PNL_THRESHOLD": ("detection", "min_profit_usd"),
    "ARB_MIN_PROFIT_ABS": ("detection", "min_profit_usd"),
    "ARB_MIN_PROFIT_BPS": ("detection", "min_profit_bps"),
    "ARB_COOLDOWN_MS": ("execution", "cooldown_ms"),
}
"""Names of older programs; of two for one key the later in this order wins."""

# Below 0 or not: what msgspec's own bounds cannot say of a Decimal.
_BOUNDS: Final[Mapping[tuple[str, str], tuple[Decimal, Decimal, int]]] = {
    ("universe", "min_volume_usd"): (Decimal(0), Decimal(10**12), 6),
    ("detection", "min_profit_usd"): (Decimal(0), Decimal(10**9), 6),
    ("detection", "min_profit_pct"): (Decimal(0), Decimal(100), 2),
    ("detection", "min_annual_pct"): (Decimal(0), Decimal(10**6), 2),
    ("risk", "max_basket_usd"): (Decimal(1), Decimal(10**9), 6),
    ("risk", "max_loss_per_basket_usd"): (Decimal(0), Decimal(10**9), 6),
    ("risk", "max_event_usd"): (Decimal(1), Decimal(10**9), 6),
    ("risk", "daily_loss_usd"): (Decimal("0.01"), Decimal(10**8), 6),
    ("execution", "trade_size_usd"): (Decimal(0), Decimal(10**9), 6),
    ("account", "paper_usd"): (Decimal(0), Decimal(10**9), 6),
    ("book", "warmup_min_ready_fraction"): (Decimal(0), Decimal(1), 4),
}


def load(path: Path | None = None, environment: Mapping[str, str] | None = None) -> Config:
    """
    Return the configuration of a file and an environment, either of which may be missing.

    Raises:
        InputError: Not a TOML file, an unknown key, or a value that is not allowed: named with
            where it stands and what is.
    """
    environment = environment or {}
    given: dict[tuple[str, str], tuple[Any, str]] = {}
    for name, place in OLDER.items():
        if environment.get(name):
            given[place] = _older(name, environment[name], KEYS[place]), name
    for place, value in _of_file(path):
        given[place] = value, f"{path}: {'.'.join(place)}"
    for place, value, name in _of_environment(environment):
        given[place] = value, name
    sections: dict[str, dict[str, Any]] = {}
    for (section, name), (value, said) in given.items():
        sections.setdefault(section, {})[name] = _checked(KEYS[section, name], value, said)
    config = msgspec.convert(sections, Config)
    _together(config)
    return config


def _of_file(path: Path | None) -> Iterator[tuple[tuple[str, str], Any]]:
    if path is None:
        return
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise errors.RangeError(f"{path}: over {FILE_BYTES_MAX} bytes")
        tables = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise errors.MalformedError(f"{path}: {error}") from None
    for section, table in tables.items():
        if section not in Config.__struct_fields__:
            allowed = ", ".join(Config.__struct_fields__)
            raise errors.MalformedError(f"{path}: [{section}] is none of {allowed}")
        if not isinstance(table, dict):
            raise errors.MalformedError(f"{path}: {section} must be a table")
        for name, value in table.items():
            yield _known(section, name, f"{path}: "), value


def _of_environment(
    environment: Mapping[str, str],
) -> Iterator[tuple[tuple[str, str], Any, str]]:
    names = {key.variable: place for place, key in KEYS.items()}
    sections = tuple(f"{PREFIX}{section}_".upper() for section in Config.__struct_fields__)
    for variable, text in environment.items():
        place = names.get(variable)
        if place:
            yield place, _parsed(KEYS[place], text, variable), variable
        elif variable.startswith(sections):
            section, _, name = variable.removeprefix(PREFIX).lower().partition("_")
            _known(section, name, f"{variable}: ")


def _known(section: str, name: str, where: str) -> tuple[str, str]:
    if (section, name) not in KEYS:
        allowed = ", ".join(each for of, each in KEYS if of == section)
        raise errors.MalformedError(f"{where}{section}.{name} is none of {allowed}")
    return section, name


def _plain(type_: Any) -> Any:
    """Return the type inside Annotated and "or None"."""
    if get_origin(type_) is Annotated:
        return _plain(get_args(type_)[0])
    members = [each for each in get_args(type_) if each is not type(None)]
    if len(members) == 1 and type(None) in get_args(type_):
        return _plain(members[0])
    return type_


def _parsed(key: Key, text: str, variable: str) -> Any:
    """Return what the environment's text says, still unchecked; lists are separated by commas."""
    kind = _plain(key.type)
    if get_origin(kind) is tuple:
        return [each.strip() for each in text.split(",") if each.strip()]
    if kind is bool:
        words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        if text.strip().lower() not in words:
            raise errors.MalformedError(f"{variable} {text!r}: {key.dotted} is true or false")
        return words[text.strip().lower()]
    if kind is int:
        digits = text.strip()
        return int(digits) if digits.removeprefix("-").isdecimal() and len(digits) < 20 else text
    return text


def _older(name: str, text: str, key: Key) -> Any:
    """Return what an older name says in today's unit."""
    if name == "SLIPPAGE_ENABLED":
        return int(_parsed(KEYS["execution", "trading"], text, name))
    return _parsed(key, text, name)


def _checked(key: Key, value: Any, said: str) -> Any:
    """Return the value as its key takes it."""
    plain = isinstance(value, Decimal) and _plain(key.type) is not Decimal
    try:
        found = msgspec.convert(float(value) if plain else value, key.type, strict=True)
    except msgspec.ValidationError as error:
        why = f"allowed is {', '.join(key.choices)}" if key.choices else str(error)
        shown = "(not shown)" if key.secret else _shown(value)
        raise errors.RangeError(f"{said} = {shown}: {why}") from None
    bounds = _BOUNDS.get((key.section, key.name))
    if bounds:
        _bounded(found, bounds, f"{said} = {_shown(value)}")
    return found


def _bounded(value: Decimal, bounds: tuple[Decimal, Decimal, int], said: str) -> None:
    low, high, decimals = bounds
    fits = value.is_finite() and low <= value <= high and not value % Decimal(1).scaleb(-decimals)
    if not fits:
        raise errors.RangeError(f"{said}: allowed is {low}..{high} in {decimals} decimals")


def _shown(value: object) -> str:
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _together(config: Config) -> None:
    """Hold keys against each other."""
    book = config.book
    if book.max_stale_ms > book.hard_stale_ms:
        raise errors.RangeError(
            f"book.max_stale_ms = {book.max_stale_ms}: above book.hard_stale_ms "
            f"{book.hard_stale_ms}"
        )
    if config.universe.catalogue and not Path(config.universe.catalogue).is_file():
        raise errors.RangeError(f"universe.catalogue = {config.universe.catalogue!r}: no such file")
    if config.detection.relations and not Path(config.detection.relations).is_file():
        raise errors.RangeError(f"detection.relations = {config.detection.relations!r}: no file")
