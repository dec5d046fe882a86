"""Scenario files: what they can say, and what is said about a wrong one."""

from pathlib import Path

import msgspec
import pytest

from polyarb.errors import MalformedError
from polyarb.sim import scenarios
from polyarb.sim.config import VenueConfig
from polyarb.sim.participants import PRESETS, MarketConfig


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.toml"


def test_every_built_in_scenario_can_be_read_and_says_what_it_is() -> None:
    found = scenarios.built_in()
    assert {"default", "quiet", "still", "storm"} <= set(found)
    for name, scenario in found.items():
        assert scenario == scenarios.find(name)
        assert scenario.name == name
        assert 10 < len(scenario.about) <= 100


def test_an_empty_file_is_the_default(file: Path) -> None:
    file.write_text("")
    made = scenarios.find(str(file))
    assert made == scenarios.Scenario(name="mine")
    assert made.venue == VenueConfig()
    assert made.market == PRESETS["default"]


def test_a_file_sets_what_it_names(file: Path) -> None:
    file.write_text(
        """
        about = "mine"
        [venue]
        refusal = "body"
        trade_report_ms = [1, 2]
        [market]
        preset = "storm"
        takers = 3
        [catalogue]
        gamma = "gamma.json"
        books = "/data/books.json"
        [[fault]]
        name = "slow"
        [[fault]]
        name = "request_lost"
        probability = 0.5
        """
    )
    made = scenarios.read(file)
    assert (made.venue.refusal, made.venue.trade_report_ms) == ("body", (1, 2))
    assert made.market == msgspec.structs.replace(PRESETS["storm"], takers=3.0)
    assert made.catalogue.gamma == str(file.parent / "gamma.json")
    assert made.catalogue.books == "/data/books.json"
    assert [(fault.name, fault.probability) for fault in made.faults] == [
        ("slow", 1.0),
        ("request_lost", 0.5),
    ]


def test_the_command_line_goes_over_the_catalogue_of_a_scenario() -> None:
    made = scenarios.find("still")
    assert made.stocked() == made
    assert made.stocked(size=200).catalogue.size == 200
    assert made.stocked(gamma="a", books="b").catalogue.books == "b"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("about = ", "no TOML: "),
        ("\x00", "no TOML: "),
        ("venu = 1", "unknown 'venu'; allowed: about, [venue], [market], [catalogue], [[fault]]"),
        ("venue = 1", "venue = 1 is no table"),
        ("fault = 1", "fault = 1 is no list of tables; write [[fault]]"),
        ("fault = [1]", "fault = 1 is no table"),
        ("[venue]\nmindms = 1", "[venue] has no 'mindms'; allowed: chain_id, skew_s, "),
        ("[venue]\ngeneration = 'v9'", "[venue] generation = 'v9'; allowed: 'v1', 'v2'"),
        ("[venue]\nmined_ms = 'x'", "[venue] mined_ms = 'x'; allowed: int 0..86400000"),
        (
            "[venue]\ntrade_report_ms = [1]",
            "[venue] trade_report_ms = [1]; allowed: int 0..86400000 each",
        ),
        (
            "[venue]\ntrade_report_ms = [5, 1]",
            "[venue] trade_report_ms = [5, 1]; allowed: [LEAST, MOST]",
        ),
        ("[market]\npreset = 'x'", "[market] preset = 'x'; allowed: still, quiet, default, storm"),
        ("[market]\npreset = [1]", "[market] preset = [1]; allowed: still"),
        ("[market]\ntaker = 1", "[market] has no 'taker'; allowed: preset, levels, "),
        ("[catalogue]\nsize = 1.5", "[catalogue] size = 1.5; allowed: int 0..100000"),
        ("[[fault]]\nname = 'x'", "fault name = 'x'; allowed: "),
        ("[[fault]]", "fault object missing required field `name`"),
        ("[[fault]]\nname = 'slow'\nprobability = 2", "fault probability = 2; allowed: float 0..1"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_the_key_and_what_is_allowed(
    file: Path, text: str, said: str
) -> None:
    file.write_text(text)
    with pytest.raises(MalformedError) as refused:
        scenarios.read(file)
    assert str(refused.value).startswith(f"{file}: {said}")


NUMBERS = [
    (table, name, default)
    for table, kind in (
        ("venue", VenueConfig),
        ("market", MarketConfig),
        ("catalogue", scenarios.CatalogueConfig),
    )
    for name, default in msgspec.structs.asdict(kind()).items()
    if type(default) in {int, float}
]


@pytest.mark.parametrize(("table", "name", "default"), NUMBERS)
def test_no_number_is_taken_out_of_its_range(
    file: Path, table: str, name: str, default: float
) -> None:
    for value in ("-1", "1e300", "nan", "inf", "-inf", str(2**62)):
        file.write_text(f"[{table}]\n{name} = {value}")
        with pytest.raises(MalformedError) as refused:
            scenarios.read(file)
        said = str(refused.value)
        assert said.startswith(f"{file}: [{table}] {name} = ")
        assert f"; allowed: {type(default).__name__} " in said


def test_bytes_that_are_no_text_are_no_scenario(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(MalformedError, match="no TOML"):
        scenarios.read(file)


@pytest.mark.parametrize("name", ["nix", "../still", "", ".", "scenarios/still"])
def test_an_unknown_name_is_refused_with_the_names_there_are(name: str) -> None:
    with pytest.raises(MalformedError, match=r"allowed: .*default, .*quiet, .*or a file"):
        scenarios.find(name)
