"""Secrets come from three places, show themselves nowhere, and API keys come from the wallet's."""

import asyncio
import copy
import json
import logging
import pickle
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from trading import Rig

from polyarb import errors
from polyarb.domain.wire import HttpResponse
from polyarb.exchange.auth import Credentials
from polyarb.exchange.credentials import (
    NAMES,
    PRIVATE_KEY,
    Secret,
    Secrets,
    create_or_derive,
    refuse_on_command_line,
)

KEY = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"  # public: Anvil's second
ADDRESS = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
API = {
    "POLYARB_API_KEY": "11111111-0000-4000-8000-000000000001",
    "POLYARB_API_SECRET": "c2VjcmV0IG9mIHRoZSB0ZXN0cw==",
    "POLYARB_API_PASSPHRASE": "passphrase-of-the-tests",
}


def file(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


# -- where they are


def test_a_key_from_the_environment() -> None:
    secrets = Secrets({PRIVATE_KEY: f" 0x{KEY}\n", "HOME": "/"})
    assert secrets.names == (PRIVATE_KEY,)
    assert secrets.signer().address == ADDRESS


def test_a_key_from_a_private_file(tmp_path: Path) -> None:
    path = file(tmp_path / "key", f"{KEY}\n")
    assert Secrets({f"{PRIVATE_KEY}_FILE": str(path)}).signer().address == ADDRESS


def test_a_key_from_systemd(tmp_path: Path) -> None:
    file(tmp_path / "polyarb_private_key", KEY, 0o440)
    secrets = Secrets({"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert secrets.names == (PRIVATE_KEY,)
    assert secrets.signer().address == ADDRESS


def test_every_secret_has_every_place(tmp_path: Path) -> None:
    for name in NAMES:
        file(tmp_path / name.lower(), f"value of {name}")
    assert set(Secrets({"CREDENTIALS_DIRECTORY": str(tmp_path)}).names) == set(NAMES)
    assert set(Secrets(dict.fromkeys(NAMES, "x")).names) == set(NAMES)


def test_two_places_are_one_too_many(tmp_path: Path) -> None:
    path = file(tmp_path / "polyarb_private_key", KEY)
    given = {
        PRIVATE_KEY: KEY,
        f"{PRIVATE_KEY}_FILE": str(path),
        "CREDENTIALS_DIRECTORY": str(tmp_path),
    }
    for left_out in given:
        some = {name: value for name, value in given.items() if name != left_out}
        with pytest.raises(errors.KeyMaterialError, match="POLYARB_PRIVATE_KEY is given twice"):
            Secrets(some)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o601])
def test_a_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = file(tmp_path / "key", KEY, mode)
    with pytest.raises(errors.KeyMaterialError, match=f"mode {mode:04o}, must be 0600") as caught:
        Secrets({f"{PRIVATE_KEY}_FILE": str(path)})
    assert KEY not in str(caught.value)


def test_a_file_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file(tmp_path / "key", KEY)
    monkeypatch.setattr("os.geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(errors.KeyMaterialError, match="belongs to user"):
        Secrets({f"{PRIVATE_KEY}_FILE": str(path)})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "No such file"),
        (Path.mkdir, "is no file"),
        (lambda path: file(path, ""), "is empty"),
        (lambda path: file(path, " \n"), "is empty"),
        (lambda path: file(path, f"{KEY}\n{KEY}"), "not one line"),
        (lambda path: file(path, "ключ"), "no ASCII"),
        (lambda path: file(path, "1" * 5_000), "more than 4096 bytes"),
    ],
)
def test_a_file_that_is_none_is_refused(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "key"
    make(path)
    with pytest.raises(errors.KeyMaterialError, match=message) as caught:
        Secrets({f"{PRIVATE_KEY}_FILE": str(path)})
    assert KEY not in str(caught.value)


def test_nothing_is_there() -> None:
    secrets = Secrets({})
    assert (secrets.names, secrets.credentials(), secrets.builder(), secrets.relayer()) == (
        (),
        None,
        None,
        None,
    )
    with pytest.raises(
        errors.KeyMaterialError, match="no private key: set POLYARB_PRIVATE_KEY, or"
    ):
        secrets.signer()


def test_credentials_are_there_together_or_not_at_all() -> None:
    held = Secrets(API).credentials()
    assert held is not None
    assert held.api_key == API["POLYARB_API_KEY"]
    for name in API:
        some = {other: value for other, value in API.items() if other != name}
        with pytest.raises(errors.KeyMaterialError, match=f"without {name}$"):
            Secrets(some).credentials()


def test_the_relayers_come_in_two_kinds() -> None:
    builder = {name.replace("API_", "BUILDER_API_", 1): value for name, value in API.items()}
    held = Secrets(builder).builder()
    assert held is not None
    assert held.passphrase == API["POLYARB_API_PASSPHRASE"]
    relayer = Secrets(
        {"POLYARB_RELAYER_API_KEY": "k", "POLYARB_RELAYER_API_KEY_ADDRESS": ADDRESS}
    ).relayer()
    assert relayer == (Secret("k"), ADDRESS)


@pytest.mark.parametrize("text", ["1234", KEY[:-1], "0" * 64, "f" * 64, "g" * 64])
def test_a_key_that_is_none_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(errors.KeyMaterialError) as caught:
        Secrets({PRIVATE_KEY: text}).signer()
    assert text not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", f"--private-key={KEY}"],
        ["run", f"--POLYARB_PRIVATE_KEY={KEY}"],
        ["-key", KEY],
        ["run", "--private-key", "x"],
        ["run", "--api-secret=abc"],
        ["--passphrase", "x"],
    ],
)
def test_no_secret_on_a_command_line(arguments: list[str]) -> None:
    with pytest.raises(errors.KeyMaterialError, match=r"argument [12] gives a secret") as caught:
        refuse_on_command_line(arguments)
    assert KEY not in str(caught.value).lower()


def test_other_arguments_are_none_of_its_business() -> None:
    refuse_on_command_line(["run", "--config", "my.toml", "--seed", "7", "--duration=60", "-v"])
    refuse_on_command_line(["explain", "0x" + "ab" * 32, "keys", "--keyset", "3"])


# -- where they do not go


def shown(value: Any) -> str:
    """Return everything that Python shows of a value without being told to look inside."""
    texts = [repr(value), str(value), f"{value}", f"{value:>20}"]
    logged = logging.LogRecord("x", 20, "x", 1, "it is %s, %r", (value, value), None).getMessage()
    try:
        holder = {"nested": [value]}
        raise ValueError(holder)
    except ValueError:
        texts.append(traceback.format_exc())
    return "\n".join([*texts, logged])


def test_a_secret_shows_itself_nowhere() -> None:
    secret = Secret(KEY)
    assert KEY not in shown(secret)
    assert "<secret>" in shown(secret)
    assert secret.reveal() == KEY
    for act in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(errors.ArgumentTypeError, match="cannot be pickled"):
            act(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)
    assert not hasattr(secret, "__dict__")


def test_secrets_are_equal_by_their_text() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


def test_what_holds_secrets_shows_none() -> None:
    secrets = Secrets({PRIVATE_KEY: KEY, **API})
    held = secrets.credentials()
    for value in (secrets, held, secrets.signer()):
        text = repr(value) + str(value)
        for hidden in (KEY, API["POLYARB_API_SECRET"], API["POLYARB_API_PASSPHRASE"]):
            assert hidden not in text
        with pytest.raises(TypeError):
            pickle.dumps(value)


def test_a_traceback_with_locals_shows_no_secret() -> None:
    """As some tools print it: the repr of every local variable."""

    def held() -> Secrets:
        return Secrets({PRIVATE_KEY: KEY, "POLYARB_API_SECRET": API["POLYARB_API_SECRET"]})

    secrets = held()
    try:
        secrets.credentials()
    except errors.KeyMaterialError as error:
        whole = traceback.TracebackException.from_exception(error, capture_locals=True)
        text = "".join(whole.format())
    assert "secrets = Secrets(" in text
    assert KEY not in text
    assert API["POLYARB_API_SECRET"] not in text


# -- API keys


def test_a_wallet_makes_its_credentials_and_finds_them_again() -> None:
    rig = Rig()
    signer = Secrets({PRIVATE_KEY: KEY}).signer()
    now_s = rig.now_ns // 10**9
    made = rig.run(create_or_derive(rig.port, signer, now_s=now_s))
    assert isinstance(made, Credentials)
    again = rig.run(create_or_derive(rig.port, signer, now_s=now_s))
    assert again == made
    assert rig.asked == ["POST /auth/api-key"] * 2 + ["GET /auth/derive-api-key"]
    other = rig.run(create_or_derive(rig.port, signer, now_s=now_s, nonce=1))
    assert other.api_key != made.api_key
    client = rig.make_client(signer=signer, credentials=made)
    assert rig.run(client.authorized())


def test_a_wrong_clock_is_denied() -> None:
    rig = Rig()
    with pytest.raises(errors.DeniedError, match="Invalid L1 Request headers"):
        rig.run(create_or_derive(rig.port, rig.signer, now_s=rig.now_ns // 10**9 - 3_600))


@pytest.mark.parametrize(
    ("fault", "values", "error"),
    [
        ("html_error", {"status": 502}, errors.UnavailableError),
        ("html_error", {"status": 403}, errors.DeniedError),
        ("too_many_requests", {}, errors.ThrottledError),
        ("request_lost", {}, errors.UnreachableError),
        ("response_lost", {}, errors.UnreachableError),
        ("truncated_body", {}, errors.GarbledError),
        ("slow", {}, errors.UnreachableError),
    ],
)
def test_what_goes_wrong_is_said_and_asking_again_makes_no_second_key(
    fault: str, values: Mapping[str, Any], error: type[Exception]
) -> None:
    rig = Rig()
    signer = Secrets({PRIVATE_KEY: KEY}).signer()
    rig.fault(fault, count=1, match={"path": "POST /auth/api-key"}, **values)
    with pytest.raises(error):
        rig.run(create_or_derive(rig.port, signer, now_s=rig.now_ns // 10**9))
    rig.run(create_or_derive(rig.port, signer, now_s=rig.now_ns // 10**9))
    assert len(rig.venue.accounts.of(signer.address.lower())) == 1


class Port:
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def request(self, *_: object, **__: object) -> HttpResponse:
        return HttpResponse(status=200, body=self._body)


@pytest.mark.parametrize(
    "told",
    [
        {},
        [],
        {"apiKey": "k", "secret": "c2VjcmV0", "passphrase": ""},
        {"apiKey": "k", "secret": "not base64 at all!", "passphrase": "p"},
        {"apiKey": "k\r\nX: y", "secret": "c2VjcmV0", "passphrase": "p"},
        {"apiKey": 7, "secret": "c2VjcmV0", "passphrase": "p"},
    ],
)
def test_an_answer_that_holds_no_credentials_is_garbled_and_not_shown(told: object) -> None:
    signer = Secrets({PRIVATE_KEY: KEY}).signer()
    body = json.dumps(told).encode()
    with pytest.raises(errors.GarbledError) as caught:
        asyncio.run(create_or_derive(Port(body), signer, now_s=1_790_000_000))  # type: ignore[arg-type]
    assert "c2VjcmV0" not in str(caught.value)
    assert "not base64 at all" not in str(caught.value)
