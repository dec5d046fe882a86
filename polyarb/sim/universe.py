"""
What trades: catalogues made from a seed, with an event of every structure and fee schedule.

Names, slugs and texts look like the venue's; ids are hashes of the seed and a name, so the same
seed gives the same universe on every machine. Catalogues of recorded data come from `recorded`.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import accumulate, count, cycle, islice, pairwise
from random import Random
from typing import Any, Final

from polyarb.sim.catalog import Catalog, Event, Fee, Market, Structure
from polyarb.sim.config import START_NS
from polyarb.sim.decimals import ONE_E4

DEFAULT_SIZE: Final = 74
"""Markets of the smallest catalogue with every structure, fee schedule and tick: one round."""

MOST: Final = 100_000
"""Markets of the largest."""

DAY_MS: Final = 86_400_000

FEES: Final[dict[str, Fee | None]] = {
    "crypto": Fee(rate_e6=70_000, kind="crypto_fees_v2", rebate_e6=200_000),
    "crypto 15m": Fee(rate_e6=250_000, exponent=2, kind="crypto_15_min", rebate_e6=200_000),
    "sports": Fee(rate_e6=50_000, kind="sports_fees_v3", rebate_e6=150_000),
    "older sports": Fee(rate_e6=30_000, kind="sports_fees_v2", rebate_e6=150_000),
    "college": Fee(rate_e6=0, kind="zero_fees", rebate_e6=0),
    "finance": Fee(rate_e6=40_000, kind="finance_prices_fees"),
    "politics": Fee(rate_e6=40_000, kind="politics_fees"),
    "tech": Fee(rate_e6=40_000, kind="tech_fees"),
    "mentions": Fee(rate_e6=40_000, kind="mentions_fees"),
    "economics": Fee(rate_e6=50_000, kind="economics_fees"),
    "culture": Fee(rate_e6=50_000, kind="culture_fees"),
    "weather": Fee(rate_e6=50_000, kind="weather_fees"),
    "general": Fee(rate_e6=50_000, kind="general_fees"),
    "geopolitics": None,
}
"""The schedules of protocol.md section 19 by category; older and legacy ones have their own."""

_TAGS: Final = {
    "crypto": ("Crypto", "Crypto Prices", "Recurring"),
    "crypto 15m": ("Crypto", "Up or Down", "Recurring"),
    "sports": ("Sports", "Games"),
    "older sports": ("Sports", "Awards"),
    "college": ("Sports", "CFB"),
    "finance": ("Finance", "Stocks"),
    "politics": ("Politics", "Elections"),
    "tech": ("Tech", "AI"),
    "mentions": ("Mentions", "Politics"),
    "economics": ("Economy", "Fed Rates"),
    "culture": ("Pop Culture", "Movies"),
    "weather": ("Weather", "Daily Temperature"),
    "general": ("Science",),
    "geopolitics": ("Geopolitics", "World"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """One market on paper; what is empty follows from its text or its event."""

    text: str
    slug: str = ""
    group: str = ""
    outcomes: tuple[str, str] = ("Yes", "No")
    bounds: tuple[int | None, int | None] | None = None
    end_ms: int = 0
    placeholder: bool = False
    trading: bool = True


@dataclass(slots=True, kw_only=True)
class _Draft:
    """An event on paper; `common` holds what all its markets share, by the names of `Market`."""

    title: str
    slug: str = ""
    structure: Structure
    category: str
    questions: list[_Question]
    fair: list[float]
    end_ms: int
    tick_e4: int = 100
    rules: str = ""
    source: str = ""
    common: dict[str, Any] = field(default_factory=dict)


class _Maker:
    """Turns drafts into events; numbers them, and keeps their slugs apart."""

    def __init__(self, seed: int, start_ns: int) -> None:
        self.seed = seed
        self.rng = Random(f"{seed}|universe")  # noqa: S311  (chance, not secrecy)
        self.now_ms = start_ns // 1_000_000
        self.now = datetime.fromtimestamp(self.now_ms // 1000, UTC)
        self.turns: dict[str, int] = {}
        self._event_slugs: set[str] = set()
        self._market_slugs: set[str] = set()
        self._events = 100_000
        self._markets = 1_500_000

    def turn(self, topic: str) -> int:
        """Count how often a topic was asked for; 0 the first time."""
        turn = self.turns[topic] = self.turns.get(topic, -1) + 1
        return turn

    def midnight(self, days: int) -> datetime:
        """Return a day after the start, as deadlines are given."""
        return self.now.replace(hour=0, minute=0, second=0) + timedelta(days=days)

    def event(self, draft: _Draft) -> Event:
        """Make the event of a draft, with ids of its own."""
        slug = self._unique(draft.slug or slugify(draft.title), self._event_slugs)
        self._events += self.rng.randint(1, 40)
        opened = self.now_ms - self.rng.randint(1, 60 * 24) * 3_600_000
        return _build(
            self.seed,
            draft,
            slug=slug,
            event_id=str(self._events),
            opened_ms=opened,
            number=self._number,
        )

    def _number(self, slug: str) -> tuple[str, str]:
        self._markets += self.rng.randint(1, 9)
        return str(self._markets), self._unique(slug, self._market_slugs)

    def _unique(self, slug: str, used: set[str]) -> str:
        """Return the slug, with the number the venue appends where it was used before."""
        unique = slug
        while unique in used:
            unique = f"{slug}-{self.rng.randint(100, 99_999)}"
        used.add(unique)
        return unique


def _build(
    seed: int,
    draft: _Draft,
    *,
    slug: str,
    event_id: str,
    opened_ms: int,
    number: Callable[[str], tuple[str, str]],
) -> Event:
    """Make the event; `number` gives a market its Gamma id and the final form of its slug."""
    neg_risk = draft.structure in {Structure.NEGRISK, Structure.AUGMENTED}
    group = _digest(seed, "group", slug)[:62] if neg_risk else ""
    v3 = bool(draft.common.get("v3"))
    markets = []
    for index, asked in enumerate(draft.questions):
        gamma_id, market_slug = number(asked.slug or slugify(asked.text))
        condition, tokens = _ids(seed, market_slug, slug if neg_risk else "", index, v3=v3)
        markets.append(
            Market(
                gamma_id=gamma_id,
                condition_id=condition,
                question_id="0x"
                + (f"{group}{index:02x}" if neg_risk else _digest(seed, "question", market_slug)),
                tokens=tokens,
                outcomes=asked.outcomes,
                question=asked.text,
                slug=market_slug,
                group_title=asked.group,
                group_threshold=str(index),
                description=draft.rules,
                resolution_source=draft.source,
                index=index,
                tick_e4=draft.tick_e4,
                neg_risk=neg_risk,
                placeholder=asked.placeholder,
                bounds=asked.bounds,
                start_ms=opened_ms,
                end_ms=asked.end_ms or draft.end_ms,
                active=asked.trading,
                accepting=asked.trading,
                **{"fee": FEES[draft.category], **draft.common},
            )
        )
    return Event(
        id=event_id,
        slug=slug,
        title=draft.title,
        structure=draft.structure,
        markets=markets,
        description=draft.rules,
        category=_TAGS[draft.category][0],
        tags=_TAGS[draft.category],
        neg_risk_id=f"0x{group}00" if neg_risk else "",
        start_ms=opened_ms,
        end_ms=draft.end_ms,
        initial=tuple(draft.fair),
    )


def _digest(seed: int, *what: str) -> str:
    return hashlib.sha256("|".join((str(seed), *what)).encode()).hexdigest()


def _ids(seed: int, slug: str, group: str, index: int, *, v3: bool) -> tuple[str, tuple[str, str]]:
    """
    Return the condition id of a market and its two token ids.

    V3 position ids follow protocol.md section 8: module, 16 bytes of the condition's hash (shared
    within a neg-risk event), two and eight zero bytes, four bytes (here the index), the outcome.
    """
    if not v3:
        tokens = [str(int(_digest(seed, "token", slug, side), 16)) for side in "01"]
        return "0x" + _digest(seed, "condition", slug), (tokens[0], tokens[1])
    base = _digest(seed, "condition", group or slug)[:32]
    condition = f"{2 if group else 1:02x}{base}{'00' * 10}{index if group else 0:08x}"
    return "0x" + condition, (str(int(condition + "00", 16)), str(int(condition + "01", 16)))


def slugify(text: str) -> str:
    """Return the part of a URL that a title becomes."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"(?<=\d)[,.](?=\d)|['’]", "", plain)
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


# -- fair prices


def _shares(rng: Random, count: int, tick_e4: int, *, bell: bool = False) -> list[float]:
    """
    Return random parts of 1, none below two ticks.

    Args:
        rng: Where chance comes from.
        count: How many; so few that two ticks of each fit into 1.
        tick_e4: The market's tick.
        bell: Large in the middle, for steps of a scale.
    """
    floor = 2 * tick_e4 / ONE_E4
    weights = [rng.gammavariate(0.6, 1.0) + 1e-9 for _ in range(count)]
    if bell:
        centre, width = rng.uniform(0.25, 0.75) * (count - 1), count / rng.uniform(3, 6)
        weights = [
            2.0 ** -(((step - centre) / width) ** 2) * rng.uniform(0.8, 1.25)
            for step in range(count)
        ]
    scale = (1 - count * floor) / sum(weights)
    return [floor + weight * scale for weight in weights]


def _chance(rng: Random, tick_e4: int) -> float:
    return _shares(rng, 2, tick_e4)[0] if rng.random() < 0.5 else rng.uniform(0.25, 0.75)


# -- texts

_YES_NO: Final = (
    "This market will resolve to “Yes” if {what}. Otherwise, this market will resolve to “No”.\n\n"
    "The primary resolution source for this market will be official information; however, a "
    "consensus of credible reporting may also be used."
)

_BINARY: Final[dict[str, tuple[str, ...]]] = {
    "politics": (
        "Will the Senate confirm the new Attorney General by {date}?",
        "Government shutdown before {date}?",
        "Will Trump and Xi meet in person before {date}?",
        "Will the House pass the crypto market structure bill by {date}?",
    ),
    "culture": (
        "Will “Toy Story 5” be the top grossing movie of {year}?",
        "Will Taylor Swift release a new album before {date}?",
        "Will GTA VI be released before {date}?",
    ),
    "geopolitics": (
        "US military action against Venezuela by {date}?",
        "Russia x Ukraine ceasefire by {date}?",
        "Will China blockade Taiwan by {date}?",
    ),
    "mentions": (
        "Will Trump say “Tariff” 20+ times during his press conference on {date}?",
        "Will Powell say “Inflation” 40+ times during the press conference on {date}?",
        "Will Elon Musk say “Mars” on the earnings call on {date}?",
    ),
    "general": (
        "Will a magnitude 8.0 or higher earthquake strike before {date}?",
        "Will SpaceX land Starship on a tower again before {date}?",
        "Will a new coronavirus pandemic be declared before {date}?",
    ),
    "college": (
        "Will Alabama make the College Football Playoff?",
        "Will Michigan beat Ohio State on {date}?",
        "Will Notre Dame finish the season undefeated?",
    ),
    "tech": (
        "Will Apple announce a foldable iPhone before {date}?",
        "Will OpenAI file for an IPO by {date}?",
        "Will Gemini score above 60% on Humanity’s Last Exam by {date}?",
    ),
}

_FED: Final = (
    ("50+ bps decrease", "the Fed decrease interest rates by 50+ bps"),
    ("25 bps decrease", "the Fed decrease interest rates by 25 bps"),
    ("No change", "there be no change in Fed interest rates"),
    ("25+ bps increase", "the Fed increase interest rates by 25+ bps"),
)

_ONE_OF: Final[dict[str, tuple[str, str, str, tuple[str, ...]]]] = {
    "nominee": (
        "politics",
        "Democratic Presidential Nominee {vote}",
        "Will {name} win the {vote} Democratic presidential nomination?",
        (
            *("Gavin Newsom", "Alexandria Ocasio-Cortez", "Pete Buttigieg", "Josh Shapiro"),
            *("Wes Moore", "JB Pritzker", "Kamala Harris", "Gretchen Whitmer", "Jon Ossoff"),
            *("Cory Booker", "Andy Beshear", "Mark Kelly"),
        ),
    ),
    "champion": (
        "older sports",
        "{next} F1 Drivers’ Champion",
        "Will {name} be the {next} F1 Drivers’ Champion?",
        (
            *("Max Verstappen", "Lando Norris", "Oscar Piastri", "Charles Leclerc"),
            *("George Russell", "Lewis Hamilton", "Kimi Antonelli", "Fernando Alonso"),
            *("Carlos Sainz", "Alex Albon", "Isack Hadjar", "Nico Hülkenberg"),
        ),
    ),
    "company": (
        "finance",
        "Largest company end of {month}?",
        "Will {name} be the largest company in the world by market cap at the end of {month}?",
        (
            *("NVIDIA", "Apple", "Alphabet", "Microsoft", "Amazon", "Saudi Aramco", "Tesla"),
            *("Broadcom", "Meta", "TSMC", "Berkshire Hathaway", "Eli Lilly"),
        ),
    ),
    "model": (
        "tech",
        "Which company has the best AI model end of {month}?",
        "Will {name} have the best AI model at the end of {month}?",
        (
            *("Google", "OpenAI", "Anthropic", "xAI", "DeepSeek", "Meta", "Alibaba", "Mistral"),
            *("Moonshot", "Z.ai", "Baidu", "Amazon"),
        ),
    ),
}

_COINS: Final = (
    ("Bitcoin", "btc", "BTC", 100_000, 2_000),
    ("Ethereum", "eth", "ETH", 4_000, 100),
    ("Solana", "sol", "SOL", 180, 10),
    ("XRP", "xrp", "XRP", 24, 1),
)

_STOCKS: Final = (
    ("S&P 500", "SPX", 6_800, 100),
    ("NVIDIA", "NVDA", 190, 10),
    ("Gold", "GC", 4_200, 50),
    ("Tesla", "TSLA", 440, 20),
)

_TOKENS: Final = ("MegaETH", "Monad", "Hibachi", "Arc", "Theo", "Lighter", "Base", "MetaMask")

_BY: Final[dict[str, tuple[str, ...]]] = {
    "geopolitics": ("US x Iran ceasefire", "Israel x Hezbollah ceasefire", "Putin out"),
    "tech": ("OpenAI announces a device", "Grok 6 released", "Siri powered by Gemini"),
    "culture": (
        "New James Bond actor announced",
        "Rihanna album released",
        "Half-Life 3 announced",
    ),
}

_CITIES: Final = ("London", "New York City", "Seoul", "Buenos Aires", "Toronto", "Ankara")

_CLUBS: Final = (
    ("Arsenal FC", "ars"),
    ("Chelsea FC", "che"),
    ("Liverpool FC", "liv"),
    ("Everton FC", "eve"),
    ("Aston Villa FC", "avl"),
    ("Crystal Palace FC", "cry"),
    ("Fulham FC", "ful"),
    ("Brentford FC", "bre"),
)

_TEAMS: Final = (
    ("Lakers", "lal"),
    ("Celtics", "bos"),
    ("Knicks", "nyk"),
    ("Warriors", "gsw"),
    ("Nuggets", "den"),
    ("Heat", "mia"),
    ("Thunder", "okc"),
    ("Spurs", "sas"),
)

_SQUADS: Final = (
    ("Natus Vincere", "navi"),
    ("Team Vitality", "vit"),
    ("FaZe", "faze"),
    ("G2 Ares", "g2a"),
    ("MOUZ", "mouz"),
    ("Spirit", "spi"),
)


def _day(day: datetime) -> str:
    return f"{day:%B} {day.day}"


# -- one kind of event each


def _binary(maker: _Maker, *, category: str, tick_e4: int, v3: bool = False) -> _Draft:
    texts = _BINARY[category]
    turn = maker.turn(category)
    ends = maker.midnight(20 + 15 * (turn % 12))
    date = f"{_day(ends)}, {ends.year}"
    text = texts[turn % len(texts)].format(date=date, year=ends.year)
    return _Draft(
        title=text,
        structure=Structure.BINARY,
        category=category,
        questions=[_Question(text=text)],
        fair=[_chance(maker.rng, tick_e4)],
        end_ms=_ms(ends),
        tick_e4=tick_e4,
        rules=_YES_NO.format(
            what=f"the answer to the question above is yes by {date}, 11:59 PM ET"
        ),
        common={"v3": v3},
    )


def _fed(maker: _Maker) -> _Draft:
    meets = maker.midnight(20 + 45 * maker.turn("fed"))
    month = f"{meets:%B}"
    return _Draft(
        title=f"Fed decision in {month}?",
        structure=Structure.NEGRISK,
        category="economics",
        questions=[
            _Question(text=f"Will {what} after the {month} {meets.year} meeting?", group=name)
            for name, what in _FED
        ],
        fair=_shares(maker.rng, len(_FED), 10, bell=True),
        end_ms=_ms(meets),
        tick_e4=10,
        rules="This market will resolve to the amount of basis points the upper bound of the "
        f"target federal funds rate is changed by at the {month} meeting of the Federal Open "
        "Market Committee, rounded up to the nearest 25.",
        source="https://www.federalreserve.gov/monetarypolicy/openmarket.htm",
    )


def _one_of(
    maker: _Maker, *, topic: str, count: int, tick_e4: int, unnamed: int = 0, v3: bool = False
) -> _Draft:
    """Let one of `count` names win; with `unnamed` placeholders, one of them or Other may too."""
    category, title, text, names = _ONE_OF[topic]
    turn = maker.turn(topic)
    if turn:
        count = maker.rng.randint(3, min(len(names), ONE_E4 // (4 * tick_e4)))
    ends = maker.midnight(30 + 30 * turn)
    words = {
        "month": f"{ends:%B}",
        "next": str(ends.year + 1),
        "vote": str(ends.year // 4 * 4 + 4),
    }
    questions = [
        _Question(text=text.format(name=name, **words), group=name) for name in names[:count]
    ]
    for number in range(unnamed):
        name = f"Person {chr(ord('A') + number)}"
        # The last has no name to come yet: it is listed, and nobody can trade it.
        waits = number == unnamed - 1
        questions.append(
            _Question(
                text=text.format(name=name, **words),
                group=name,
                placeholder=True,
                trading=not waits,
            )
        )
    if unnamed:
        questions.append(
            _Question(
                text=text.format(name="another person", **words), group="Other", placeholder=True
            )
        )
    return _Draft(
        title=title.format(**words),
        structure=Structure.AUGMENTED if unnamed else Structure.NEGRISK,
        category=category,
        questions=questions,
        fair=_shares(maker.rng, len(questions), tick_e4),
        end_ms=_ms(ends),
        tick_e4=tick_e4,
        rules="This market will resolve according to the outcome named."
        + (
            " If none of the listed options can be determined, it will resolve to “Other”."
            if unnamed
            else ""
        ),
        common={"v3": v3},
    )


def _above(maker: _Maker, *, steps: int, tick_e4: int) -> _Draft:
    """Ask whether a coin is above 62k, 64k, …: each implies the ones below it."""
    turn = maker.turn("above")
    coin, short, ticker, spot, step = _COINS[turn % len(_COINS)]
    ends = maker.midnight(1 + turn // len(_COINS)).replace(hour=17)
    day = _day(ends)
    first = spot + step * (maker.rng.randint(-2, 2) - steps // 2)
    levels = [first + step * number for number in range(steps)]
    return _Draft(
        title=f"{coin} above ___ on {day}?",
        slug=f"{coin.lower()}-above-on-{slugify(day)}",
        structure=Structure.LADDER,
        category="crypto",
        questions=[
            _Question(
                text=f"Will the price of {coin} be above ${level:,} on {day}?",
                slug=f"{coin.lower()}-above-{_short(level)}-on-{slugify(day)}",
                group=f"{level:,}",
                bounds=(level, None),
            )
            for level in levels
        ],
        fair=_tails(_shares(maker.rng, steps + 1, tick_e4, bell=True)),
        end_ms=_ms(ends),
        tick_e4=tick_e4,
        rules=f"This market will resolve to “Yes” if the Binance 1 minute candle for {ticker}/USDT "
        "12:00 in the ET timezone (noon) on the date specified in the title has a final “Close” "
        "price higher than the price specified in the title. Otherwise, it will resolve to “No”.",
        source=f"https://www.binance.com/en/trade/{ticker}_USDT",
        common={"taker_delay": short == "btc"},
    )


def _ranges(maker: _Maker, *, steps: int, tick_e4: int) -> _Draft:
    """Give two steps of a ladder the range between them as a market: lower = between + upper."""
    turn = maker.turn("ranges")
    name, ticker, spot, step = _STOCKS[turn % len(_STOCKS)]
    ends = maker.midnight(7 + 7 * (turn // len(_STOCKS))).replace(hour=21)
    day = _day(ends)
    first = spot - step * (steps // 2)
    levels = [first + step * number for number in range(steps)]
    parts = _shares(maker.rng, steps + 1, tick_e4, bell=True)
    return _Draft(
        title=f"{name} ({ticker}) close on {day}?",
        structure=Structure.RANGES,
        category="finance",
        questions=[
            *(
                _Question(
                    text=f"Will {name} ({ticker}) close above ${level:,} on {day}?",
                    group=f"↑ ${level:,}",
                    bounds=(level, None),
                )
                for level in levels
            ),
            *(
                _Question(
                    text=f"Will {name} ({ticker}) close between ${low:,} and ${high:,} on {day}?",
                    group=f"${low:,}–${high:,}",
                    bounds=(low, high),
                )
                for low, high in pairwise(levels)
            ),
        ],
        fair=_tails(parts) + parts[1:-1],
        end_ms=_ms(ends),
        tick_e4=tick_e4,
        rules=f"This market will resolve according to the official closing price of {name} on "
        f"{day}, {ends.year}. A price exactly on a boundary belongs to the higher range.",
        source="https://finance.yahoo.com/",
    )


def _launch(maker: _Maker, *, steps: int, tick_e4: int) -> _Draft:
    turn = maker.turn("launch")
    name = _TOKENS[turn % len(_TOKENS)]
    levels = [300, 500, 1_000, 2_000, 4_000, 6_000, 10_000][turn % 3 :][:steps]
    text = "{name} FDV above {level} one day after launch?"
    names = [f"${n}M" if n < 1_000 else f"${n // 1_000}B" for n in levels]
    return _Draft(
        title=text.format(name=name, level="___"),
        structure=Structure.LADDER,
        category="crypto",
        questions=[
            _Question(text=text.format(name=name, level=group), group=group, bounds=(level, None))
            for level, group in zip(levels, names, strict=True)
        ],
        fair=_tails(_shares(maker.rng, len(levels) + 1, tick_e4)),
        end_ms=_ms(maker.midnight(40 + 10 * turn)),
        tick_e4=tick_e4,
        rules=_YES_NO.format(
            what=f"the fully diluted value of {name}’s token is above the listed amount one day "
            "after launch"
        ),
    )


def _dates(maker: _Maker, *, category: str, count: int, tick_e4: int = 100) -> _Draft:
    """Ask whether it happens by December 31, by March 31, …: each implies the later ones."""
    turn = maker.turn(f"by {category}")
    what = _BY[category][turn % len(_BY[category])]
    days = _deadlines(maker.now, count, turn // len(_BY[category]))
    fair = list(accumulate(_shares(maker.rng, count + 1, tick_e4)))[:-1]
    return _Draft(
        title=f"{what} by...?",
        slug=f"{slugify(what)}-by",
        structure=Structure.DATES,
        category=category,
        questions=[
            _Question(
                text=f"{what} by {_day(day)}, {day.year}?",
                group=f"{_day(day)}, {day.year}",
                bounds=(None, _ms(day + timedelta(days=1))),
                end_ms=_ms(day),
            )
            for day in days
        ],
        fair=fair,
        end_ms=_ms(days[-1]),
        tick_e4=tick_e4,
        rules=_YES_NO.format(what="the event happens by the listed date, 11:59 PM ET"),
    )


def _weather(maker: _Maker, *, count: int) -> _Draft:
    turn = maker.turn("weather")
    city = _CITIES[turn % len(_CITIES)]
    day = maker.midnight(1 + turn // len(_CITIES))
    low = maker.rng.randint(2, 12)
    names = [
        f"{low}°C or below",
        *(f"{low + step}°C" for step in range(1, count - 1)),
        f"{low + count - 1}°C or higher",
    ]
    return _Draft(
        title=f"Highest temperature in {city} on {_day(day)}?",
        structure=Structure.NEGRISK,
        category="weather",
        questions=[
            _Question(
                text=f"Will the highest temperature in {city} be {name} on {_day(day)}?", group=name
            )
            for name in names
        ],
        fair=_shares(maker.rng, count, 100, bell=True),
        end_ms=_ms(day.replace(hour=12)),
        rules=f"This market will resolve to the temperature range that contains the highest "
        f"temperature recorded in {city} on {_day(day)}, in degrees Celsius.",
        source="https://www.wunderground.com/",
    )


def _match(maker: _Maker) -> _Draft:
    """Make a football match: home, draw, away; live, so marketable orders wait."""
    turn = maker.turn("match")
    (home, h), (away, a) = _pair(_CLUBS, turn)
    starts = maker.midnight(1 + turn // 7).replace(hour=15)
    slug = f"epl-{h}-{a}-{starts:%Y-%m-%d}"
    draw = maker.rng.uniform(0.18, 0.32)
    wins = maker.rng.uniform(0.2, 0.8) * (1 - draw)
    date = f"{starts:%Y-%m-%d}"
    return _Draft(
        title=f"{home} vs. {away}",
        slug=slug,
        structure=Structure.NEGRISK,
        category="sports",
        questions=[
            _Question(text=f"Will {home} win on {date}?", slug=f"{slug}-{h}", group=home),
            _Question(
                text=f"Will {home} vs. {away} end in a draw?",
                slug=f"{slug}-draw",
                group=f"Draw ({home} vs. {away})",
            ),
            _Question(text=f"Will {away} win on {date}?", slug=f"{slug}-{a}", group=away),
        ],
        fair=[wins, draw, 1 - draw - wins],
        end_ms=_ms(starts) + 7 * DAY_MS,
        tick_e4=25,
        rules=f"In the upcoming Premier League game between {home} and {away}, this market will "
        "resolve according to the result after 90 minutes plus stoppage time.",
        source="https://www.premierleague.com/",
        common={"seconds_delay": 3, "game_start_ms": _ms(starts)},
    )


def _game(maker: _Maker) -> _Draft:
    turn = maker.turn("game")
    (away, a), (home, h) = _pair(_TEAMS, turn)
    starts = maker.midnight(1 + turn // 7).replace(hour=1)
    slug = f"nba-{a}-{h}-{starts - timedelta(days=1):%Y-%m-%d}"
    return _Draft(
        title=f"{away} vs. {home}",
        slug=slug,
        structure=Structure.BINARY,
        category="sports",
        questions=[_Question(text=f"{away} vs. {home}", slug=slug, outcomes=(away, home))],
        fair=[_chance(maker.rng, 100)],
        end_ms=_ms(starts) + 7 * DAY_MS,
        rules=f"In the upcoming NBA game between the {away} and the {home}, this market will "
        "resolve to the team that wins. If the game is canceled, it will resolve 50-50.",
        source="https://www.nba.com/",
        common={"seconds_delay": 1, "game_start_ms": _ms(starts)},
    )


def _esports(maker: _Maker) -> _Draft:
    """Put markets on one page that share nothing that could be arbitraged."""
    turn = maker.turn("esports")
    (one, a), (two, b) = _pair(_SQUADS, turn)
    starts = maker.midnight(1 + turn // 5).replace(hour=18)
    slug = f"cs2-{a}-{b}-{starts:%Y-%m-%d}"
    title = f"Counter-Strike: {one} vs {two} (BO3)"
    return _Draft(
        title=title,
        slug=slug,
        structure=Structure.MIXED,
        category="sports",
        questions=[
            _Question(text=title, slug=slug, group="Match Winner", outcomes=(one, two)),
            _Question(
                text=f"Counter-Strike: {one} vs {two} - Map 1 Winner",
                slug=f"{slug}-game1",
                group="Map 1 Winner",
                outcomes=(one, two),
            ),
            _Question(
                text="Games Total: O/U 2.5",
                slug=f"{slug}-total-games-2pt5",
                group="O/U 2.5 Games",
                outcomes=("Over", "Under"),
            ),
        ],
        fair=[_chance(maker.rng, 100) for _ in range(3)],
        end_ms=_ms(starts) + DAY_MS,
        rules=f"This market refers to the Counter-Strike match between {one} and {two}.",
        source="https://www.hltv.org/",
        common={"seconds_delay": 3, "game_start_ms": _ms(starts)},
    )


def _pair(names: Sequence[tuple[str, str]], turn: int) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return two different names, another pair each turn for a while."""
    first = turn % len(names)
    return names[first], names[(first + 1 + turn // len(names) % (len(names) - 1)) % len(names)]


def _ms(day: datetime) -> int:
    return int(day.timestamp()) * 1000


def _short(level: int) -> str:
    return f"{level // 1000}k" if level % 1000 == 0 else str(level)


def _tails(parts: list[float]) -> list[float]:
    """Return the chance to end above each step, from that of each part between the steps."""
    return list(accumulate(reversed(parts)))[-2::-1]


def _deadlines(now: datetime, wanted: int, skipped: int) -> list[datetime]:
    """Return the next ends of quarters, the first at least ten days away."""
    ends = (
        datetime(year, month, day, tzinfo=UTC)
        for year in count(now.year)
        for month, day in ((3, 31), (6, 30), (9, 30), (12, 31))
    )
    later = (end for end in ends if end - now > timedelta(days=10))
    return list(islice(later, skipped, skipped + wanted))


# -- short-lived markets

_HOUR_S: Final = 3_600


def next_updown(seed: int, now_ns: int, coin: int = 0, minutes: int = 5) -> Event:
    """
    Return the up-or-down market of the window that begins at, or last began before, `now_ns`.

    Args:
        seed: As in `generate`.
        now_ns: Unix nanoseconds.
        coin: 0 Bitcoin, 1 Ethereum, 2 Solana, 3 XRP.
        minutes: Length of the window. 15: the legacy fee of exponent 2.
    """
    length = 60 * minutes
    start_s = now_ns // 1_000_000_000 // length * length
    name, short, ticker, *_ = _COINS[coin]
    slug = f"{short}-updown-{minutes}m-{start_s}"
    title = f"{name} Up or Down - {_window(start_s, start_s + length)}"
    draft = _Draft(
        title=title,
        structure=Structure.BINARY,
        category="crypto 15m" if minutes == 15 else "crypto",
        questions=[_Question(text=title, slug=slug, outcomes=("Up", "Down"))],
        fair=[0.5],
        end_ms=1000 * (start_s + length),
        rules=f"This market will resolve to “Up” if the {name} price at the end of the time range "
        "specified in the title is greater than or equal to the price at the beginning of that "
        "range. Otherwise, it will resolve to “Down”.\nThe resolution source for this market is "
        f"information from Chainlink, specifically the {ticker}/USD data stream.",
        source=f"https://data.chain.link/streams/{short}-usd",
        common={"taker_delay": True},
    )
    number = f"{minutes}{coin}{start_s // 60}"
    return _build(
        seed,
        draft,
        slug=slug,
        event_id=number,
        opened_ms=1000 * start_s - DAY_MS,
        number=lambda wanted: (number, wanted),
    )


def _window(start_s: int, end_s: int) -> str:
    """Return a time range as titles show it; Eastern time, winter's all year."""
    start, end = (datetime.fromtimestamp(s - 5 * _HOUR_S, UTC) for s in (start_s, end_s))
    return f"{_day(start)}, {_clock(start)}-{_clock(end)} ET"


def _clock(at: datetime) -> str:
    return f"{at.hour % 12 or 12}:{at:%M%p}"


# -- the catalogue

_CYCLE: Final[tuple[Callable[[_Maker], _Draft], ...]] = (
    _fed,
    partial(_one_of, topic="nominee", count=4, tick_e4=10, unnamed=2),
    partial(_above, steps=5, tick_e4=100),
    partial(_ranges, steps=3, tick_e4=50),
    partial(_dates, category="geopolitics", count=4),
    _game,
    _match,
    partial(_binary, category="politics", tick_e4=100),
    partial(_binary, category="tech", tick_e4=100, v3=True),
    partial(_one_of, topic="model", count=4, tick_e4=100, v3=True),
    partial(_one_of, topic="champion", count=12, tick_e4=10),
    partial(_binary, category="culture", tick_e4=1000),
    _esports,
    partial(_binary, category="geopolitics", tick_e4=1),
    partial(_weather, count=5),
    partial(_launch, steps=4, tick_e4=10),
    partial(_dates, category="tech", count=3),
    partial(_binary, category="mentions", tick_e4=100),
    partial(_one_of, topic="company", count=3, tick_e4=100),
    partial(_binary, category="general", tick_e4=10),
    partial(_binary, category="college", tick_e4=100),
    partial(_dates, category="culture", count=2),
)
"""Drafts in turn. One round, with the two up-or-down markets, is the default catalogue."""


def generate(seed: int = 1, size: int = DEFAULT_SIZE, start_ns: int = START_NS) -> Catalog:
    """
    Make a catalogue.

    Args:
        seed: Same seed, size and start: the same catalogue, byte for byte.
        size: Markets at least; the last event is whole.
        start_ns: Unix nanoseconds; deadlines lie after it.
    """
    maker = _Maker(seed, start_ns)
    catalog = Catalog([next_updown(seed, start_ns), next_updown(seed, start_ns, 1, 15)])
    for draft in cycle(_CYCLE):
        if len(catalog.markets) >= size:
            break
        catalog.add(maker.event(draft(maker)))
    return catalog
