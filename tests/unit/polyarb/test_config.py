"""The configuration: every key by every way in, and what is said of those that are wrong."""

from decimal import Decimal

import pytest

from polyarb.control import config
from polyarb.control.config import KEYS, OLDER, Config, Style, load
from polyarb.errors import InputError

EXAMPLES = {
    "exchange.generation": "v2",
    "account.funder": "0x" + "ab" * 20,
    "book.hard_stale_ms": 60_001,
    "book.max_stale_ms": 1_499,
    "execution.style": "gtc",
    "execution.realise": "merge",
    "journal.fsync": "never",
    "exchange.market_ws_url": "wss://host/ws/market",
}


def example(key, there):
    """Return a value of the key that is not its default, as TOML has it."""
    if key.dotted in EXAMPLES:
        return EXAMPLES[key.dotted]
    if key.dotted in {"universe.catalogue", "detection.relations"}:
        return str(there)
    kind = config._plain(key.type)
    if kind is bool:
        return not key.default
    if kind is Decimal:
        return Decimal("0.75") if "fraction" in key.name else key.default + 1
    if kind is int:
        return 3 if key.default in {None, 2, 1} else key.default - 1 if key.default else 1
    if kind is str:
        return "https://host" if key.name.endswith("_url") else "some"
    return ("x", "y")


def toml(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{each}"' for each in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def of(key, found):
    return getattr(getattr(found, key.section), key.name)


@pytest.mark.parametrize("key", KEYS.values(), ids=lambda key: key.dotted)
def test_every_key_is_read_from_the_file_and_the_environment_wins(key, tmp_path):
    file, there = tmp_path / "polyarb.toml", tmp_path / "there"
    there.touch()
    value = example(key, there)
    file.write_text(f"[{key.section}]\n{key.name} = {toml(value)}\n")
    if key.name == "copies":
        value = 2
        file.write_text("[book]\ncopies = 2\n")
    assert of(key, load(file)) == value != key.default
    text = ",".join(value) if isinstance(value, tuple) else str(value)
    assert of(key, load(None, {key.variable: text})) == value
    default = key.default
    if default is not None and default != "":
        again = ",".join(default) if isinstance(default, tuple) else str(default)
        assert of(key, load(file, {key.variable: again})) == default


def test_nothing_configured_is_a_configuration():
    assert load() == Config()
    assert (
        load(None, {"PATH": "/bin", "POLYARB_KERNEL": "scalar", "POLYARB_API_KEY": "k"}) == Config()
    )


@pytest.mark.parametrize("name", OLDER)
def test_older_names_are_honoured_and_todays_win(name, tmp_path):
    section, key = OLDER[name]
    text = {"REAL_TRADING_ENABLED": "false", "SLIPPAGE_ENABLED": "true"}.get(name, "0.5")
    if name.endswith(("_MS", "_BPS", "_DEPTH")):
        text = "1577"
    read = of(KEYS[section, key], load(None, {name: text}))
    assert read == {"false": False, "true": 1, "0.5": Decimal("0.5"), "1577": 1577}[text]
    file = tmp_path / "polyarb.toml"
    file.write_text(f"[{section}]\n{key} = {toml(KEYS[section, key].default)}\n")
    assert load(file, {name: text}) == Config()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[book]\nmax_stale_ms = -5", r"book.max_stale_ms = -5: .*>= 1"),
        ("[book]\nmax_stale_ms = 1.5", r"book.max_stale_ms = 1.5: .*int"),
        ("[book]\nmax_stale_ms = 70000", r"max_stale_ms = 70000: above book.hard_stale_ms 60000"),
        ("[book]\nstale = 5", r"book.stale is none of max_stale_ms, hard"),
        ("[bok]\nstale = 5", r"\[bok\] is none of exchange, account"),
        ("book = 5", r"book must be a table"),
        ("[book", r"polyarb.toml: "),
        ("[detection]\nmin_profit_usd = -0.05", r"min_profit_usd = -0.05: allowed is 0\.\."),
        (
            "[detection]\nmin_profit_usd = 0.00000005",
            r"min_profit_usd = 5E-8: allowed .* 6 decimals",
        ),
        ("[detection]\nmin_profit_usd = nan", r"min_profit_usd = NaN: allowed"),
        ("[detection]\nmin_profit_usd = 'five'", r"min_profit_usd = 'five'"),
        ("[detection]\nsame_market = 1", r"same_market = 1: .*bool"),
        ("[execution]\nstyle = 'gtx'", r"execution.style = 'gtx': allowed is fak, fok, gtc"),
        ("[exchange]\nclob_url = 'ftp://x'", r"exchange.clob_url = 'ftp://x'"),
        ("[account]\nfunder = '0x12'", r"account.funder = '0x12'"),
        ("[account]\nsignature_type = 4", r"signature_type = 4: .*<= 3"),
        ("[universe]\ncatalogue = 'no.json'", r"universe.catalogue = 'no.json': no such file"),
        ("[universe]\nevents = [1]", r"universe.events = \[1\]"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(text, said, tmp_path):
    file = tmp_path / "polyarb.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=said):
        load(file)


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("POLYARB_BOOK_MAX_STALE_MS", "abc", r"POLYARB_BOOK_MAX_STALE_MS = 'abc': .*int"),
        ("POLYARB_BOOK_MAX_STALE_MS", "9" * 30, r"POLYARB_BOOK_MAX_STALE_MS = '999"),
        ("POLYARB_BOOK_NOPE", "1", r"POLYARB_BOOK_NOPE: book.nope is none of"),
        ("POLYARB_DETECTION_SAME_MARKET", "perhaps", r"'perhaps'.* true or false"),
        ("ARB_MIN_PROFIT_BPS", "-1", r"ARB_MIN_PROFIT_BPS = -1"),
        ("REAL_TRADE_SIZE", "1e400", r"REAL_TRADE_SIZE = '1e400': allowed"),
    ],
)
def test_the_environment_is_held_to_the_same(variable, text, said):
    with pytest.raises(InputError, match=said):
        load(None, {variable: text})


def test_files_that_are_none_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"none\.toml"):
        load(tmp_path / "none.toml")
    (tmp_path / "big.toml").write_bytes(b"#" * (config.FILE_BYTES_MAX + 1))
    with pytest.raises(InputError, match="over 1048576"):
        load(tmp_path / "big.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xff")
    with pytest.raises(InputError, match=r"latin\.toml"):
        load(tmp_path / "latin.toml")


@pytest.mark.parametrize("place", [("alerts", "urls"), ("database", "url")])
def test_values_that_may_hold_secrets_are_not_shown(place, tmp_path):
    file = tmp_path / "polyarb.toml"
    file.write_text(f"[{place[0]}]\n{place[1]} = ['tgram://s3cret', 5]\n")
    with pytest.raises(InputError, match="not shown") as caught:
        load(file)
    assert "s3cret" not in str(caught.value)
    held = load(None, {KEYS[place].variable: "tgram://s3cret"})
    assert "s3cret" not in repr(held)
    assert of(KEYS[place], held)


def test_money_becomes_integers():
    assert (
        config.usd_e6(load(None, {"POLYARB_RISK_DAILY_LOSS_USD": "12.345678"}).risk.daily_loss_usd)
        == 12_345_678
    )
    assert load(None, {"POLYARB_EXECUTION_STYLE": "fok"}).execution.style is Style.FOK
