"""
Secrets: where they come from, and that they go nowhere else.

A secret has a name, such as POLYARB_PRIVATE_KEY, and is looked for in three places: the environment
under that name, a file that the environment names (POLYARB_PRIVATE_KEY_FILE) and that nobody but
its owner can read, and systemd's credentials (the file ``polyarb_private_key`` in
$CREDENTIALS_DIRECTORY). Found in two places it is refused: which of them counts would be a guess.
There is no way to pass one on a command line.

API credentials need not be configured: the wallet's key makes them, or derives those it made
before (protocol.md section 4).
"""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

from polyarb import errors
from polyarb.domain.report import load
from polyarb.domain.wire import HttpResponse, RequestPort
from polyarb.exchange.auth import Credentials, l1_headers
from polyarb.exchange.client import understood
from polyarb.exchange.signing import Backend, OrderSigner

PRIVATE_KEY: Final = "POLYARB_PRIVATE_KEY"
API: Final = ("POLYARB_API_KEY", "POLYARB_API_SECRET", "POLYARB_API_PASSPHRASE")
RELAYER: Final = ("POLYARB_RELAYER_API_KEY", "POLYARB_RELAYER_API_KEY_ADDRESS")
BUILDER: Final = (
    "POLYARB_BUILDER_API_KEY",
    "POLYARB_BUILDER_API_SECRET",
    "POLYARB_BUILDER_API_PASSPHRASE",
)
NAMES: Final = (PRIVATE_KEY, *API, *RELAYER, *BUILDER)
BYTES_MAX: Final = 4096
TIMEOUT_NS: Final = 10_000_000_000

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_SECRET_OPTION: Final = re.compile(
    r"--?(?:.*[-_])?(?:private[-_]?key|api[-_]?key|secret|passphrase|mnemonic|key)", re.I | re.ASCII
)


class Secret:
    """
    A text that shows itself to nobody but whoever asks with `reveal`.

    Neither repr, str, format, a log line nor a pickle holds it; two are equal if their texts are.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text, for signing and for headers."""
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format("<secret>", spec)

    def __reduce__(self) -> NoReturn:
        raise errors.ArgumentTypeError("a Secret cannot be pickled")


class Secrets:
    """
    Those that were found, by name.

    Args:
        environ: Of the process.

    Raises:
        KeyMaterialError: Found twice, empty, or in a file that others can read, that is no file,
            or that cannot be read. The message never holds the secret.
    """

    __slots__ = ("_found",)

    def __init__(self, environ: Mapping[str, str]) -> None:
        found = {name: _find(name, environ) for name in NAMES}
        self._found = {name: secret for name, secret in found.items() if secret is not None}

    @property
    def names(self) -> tuple[str, ...]:
        """Return which there are."""
        return tuple(self._found)

    def get(self, name: str) -> Secret | None:
        """Return a secret; None if it is not there."""
        return self._found.get(name)

    def signer(
        self,
        *,
        signature_type: int = 0,
        funder: str | None = None,
        chain_id: int = 137,
        backend: Backend | None = None,
    ) -> OrderSigner:
        """
        Return the account's signer.

        Raises:
            KeyMaterialError: No private key, or none that is one.
            InputError: As `OrderSigner`.
        """
        secret = self.get(PRIVATE_KEY)
        if secret is None:
            raise errors.KeyMaterialError(f"no private key: {_where(PRIVATE_KEY)}")
        return OrderSigner(
            secret.reveal(),
            signature_type=signature_type,
            funder=funder,
            chain_id=chain_id,
            backend=backend,
        )

    def credentials(self) -> Credentials | None:
        """
        Return the configured API credentials; None if none of the three is there.

        Raises:
            KeyMaterialError: Some of the three are missing, or the secret is not base64.
        """
        parts = self._group(API)
        return Credentials(*(part.reveal() for part in parts)) if parts else None

    def builder(self) -> Credentials | None:
        """Return the builder's credentials for the relayer; as `credentials`."""
        parts = self._group(BUILDER)
        return Credentials(*(part.reveal() for part in parts)) if parts else None

    def relayer(self) -> tuple[Secret, str] | None:
        """Return the relayer's API key and its address; as `credentials`."""
        parts = self._group(RELAYER)
        return (parts[0], parts[1].reveal()) if parts else None

    def _group(self, names: tuple[str, ...]) -> list[Secret]:
        """Return secrets that only make sense together, or none of them."""
        held = [name for name in names if name in self._found]
        if held and len(held) < len(names):
            missing = ", ".join(name for name in names if name not in self._found)
            raise errors.KeyMaterialError(f"{', '.join(held)} without {missing}")
        return [self._found[name] for name in held]

    def __repr__(self) -> str:
        return f"Secrets({', '.join(self._found) or 'none'})"

    def __reduce__(self) -> NoReturn:
        raise errors.ArgumentTypeError("Secrets cannot be pickled")


def refuse_on_command_line(arguments: list[str]) -> None:
    """
    Refuse options for secrets before anything repeats them: every user can read arguments.

    Raises:
        KeyMaterialError: Names the place, never the value.
    """
    for place, argument in enumerate(arguments):
        if _SECRET_OPTION.fullmatch(argument.partition("=")[0]):
            raise errors.KeyMaterialError(
                f"argument {place + 1} gives a secret away; {_where(PRIVATE_KEY)}"
            )


async def create_or_derive(
    port: RequestPort, signer: OrderSigner, *, now_s: int, nonce: int = 0
) -> Credentials:
    """
    Return the API credentials of a wallet: new ones, or those that it has already.

    Args:
        port: Of the CLOB.
        signer: The wallet's key; deposit wallets sign with the EOA that owns them.
        now_s: Unix seconds by the exchange's clock.
        nonce: Which of the wallet's API keys is meant.

    Raises:
        RetryError: No useful answer; asking again makes no second key.
        DeniedError: The exchange gives none.
    """
    headers = l1_headers(signer, now_s, nonce)
    made = await _asked(port, "POST", "/auth/api-key", headers)
    if made.status != 400:
        return _credentials("POST /auth/api-key", made)
    known = await _asked(port, "GET", "/auth/derive-api-key", headers)
    return _credentials("GET /auth/derive-api-key", known)


async def _asked(
    port: RequestPort, method: str, path: str, headers: Mapping[str, str]
) -> HttpResponse:
    try:
        return await port.request(method, path, headers=headers, timeout_ns=TIMEOUT_NS)
    except (OSError, TimeoutError) as error:
        raise errors.UnreachableError(f"{method} {path}: {error}") from None


def _credentials(request: str, response: HttpResponse) -> Credentials:
    found = understood(request, response, _read)
    if found is None:
        raise errors.DeniedError(f"{request}: 404", 404)
    return found


def _read(body: bytes) -> Credentials:
    """Read credentials; what is wrong with an answer is said without the answer."""
    try:
        told: Any = load(body)
    except errors.MalformedError:
        told = None
    parts = [told.get(name) for name in ("apiKey", "secret", "passphrase")] if told else []
    if not parts or not all(isinstance(part, str) and part for part in parts):
        raise errors.MalformedError("no apiKey, secret and passphrase")
    try:
        return Credentials(*parts)
    except errors.InputError as error:
        raise errors.MalformedError(str(error)) from None


# Where a secret is


def _find(name: str, environ: Mapping[str, str]) -> Secret | None:
    """Return a secret from the one place that has it."""
    places: dict[str, Secret] = {}
    if name in environ:
        places[name] = _checked(name, environ[name])
    file = environ.get(f"{name}_FILE")
    if file is not None:
        places[f"{name}_FILE"] = _from_file(f"{name}_FILE", Path(file), private=True)
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if directory:
        path = Path(directory) / name.lower()
        if path.exists():
            places["$CREDENTIALS_DIRECTORY"] = _from_file(str(path), path, private=False)
    if len(places) > 1:
        raise errors.KeyMaterialError(f"{name} is given twice: {', '.join(places)}")
    return next(iter(places.values()), None)


def _from_file(where: str, path: Path, *, private: bool) -> Secret:
    """Return what a file holds; `private`: it must be ours, for us alone (systemd sees to its)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise errors.KeyMaterialError(f"{where}: {path}: {error.strerror}") from None
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise errors.KeyMaterialError(f"{where}: {path} is no file")
        if private and about.st_mode & _OTHERS:
            mode = stat.S_IMODE(about.st_mode)
            raise errors.KeyMaterialError(f"{where}: {path} has mode {mode:04o}, must be 0600")
        if private and about.st_uid != os.geteuid():
            raise errors.KeyMaterialError(f"{where}: {path} belongs to user {about.st_uid}")
        held = os.read(descriptor, BYTES_MAX + 1)
    finally:
        os.close(descriptor)
    if len(held) > BYTES_MAX:
        raise errors.KeyMaterialError(f"{where}: {path} has more than {BYTES_MAX} bytes")
    try:
        return _checked(where, held.decode("ascii"))
    except UnicodeDecodeError:
        raise errors.KeyMaterialError(f"{where}: {path} is no ASCII text") from None


def _checked(where: str, text: str) -> Secret:
    """Return a secret without the white space around it; it is one line."""
    text = text.strip()
    if not text:
        raise errors.KeyMaterialError(f"{where} is empty")
    if not (text.isascii() and text.isprintable()):
        raise errors.KeyMaterialError(f"{where} is not one line of printable ASCII")
    return Secret(text)


def _where(name: str) -> str:
    return (
        f"set {name}, or {name}_FILE to a file of mode 0600, or give systemd's credential "
        f"{name.lower()}"
    )
