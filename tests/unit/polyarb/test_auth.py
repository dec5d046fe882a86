"""L1 and L2 headers, byte for byte those of the official SDKs; no message holds a secret."""

import base64
import hashlib
import hmac
import json
import traceback

import pytest
from coincurve import PrivateKey
from conftest import VECTORS, vectors
from reference import eip712
from reference.hmac_sha256 import hmac_sha256

from polyarb.errors import (
    ArgumentTypeError,
    InputError,
    KeyMaterialError,
    MalformedError,
    PolyarbError,
    RangeError,
)
from polyarb.exchange.auth import Credentials, clob_auth_digest, l1_headers, l2_headers

ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
KEY = bytes(range(200, 232))
SECRET = base64.urlsafe_b64encode(KEY).decode()
CREDENTIALS = Credentials("key-1", SECRET, "phrase-1")
L2_KEYS = ["POLY_ADDRESS", "POLY_SIGNATURE", "POLY_TIMESTAMP", "POLY_API_KEY", "POLY_PASSPHRASE"]


class Wallet:
    """Signs with a key of the vectors, by the library the SDKs use underneath."""

    def __init__(self, private_key, address, chain_id):
        self.address, self.chain_id = address, chain_id
        self._key = PrivateKey.from_hex(private_key.removeprefix("0x"))

    def sign_digest(self, digest):
        signature = self._key.sign_recoverable(digest, hasher=None)
        return "0x" + signature[:64].hex() + bytes([27 + signature[64]]).hex()


class Fixed:
    """A wallet that answers with a given signature."""

    def __init__(self, signature, address=ADDRESS):
        self.address, self.chain_id, self.signature = address, 137, signature

    def sign_digest(self, digest):
        assert len(digest) == 32
        return self.signature


def cases(name):
    return [pytest.param(case, id=case["id"]) for case in vectors(name)]


def requests(level):
    """Return the requests of both SDK generations that carry that level's headers."""
    chosen = []
    for name in ("v1_http_requests", "v2_http_requests"):
        meta = json.loads((VECTORS / f"{name}.json").read_text())["meta"]
        for case in vectors(name):
            headers = {k: v for k, v in case["headers"].items() if k.startswith("POLY_")}
            if headers and ("POLY_NONCE" in headers) == (level == 1):
                chosen.append(pytest.param(meta, case, headers, id=case["id"]))
    assert chosen
    return chosen


# --- L2 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases("hmac"))
def test_hmac_is_the_unified_sdks(case):
    """It signs the bytes that are sent; the older client swaps apostrophes first (section 5)."""
    credentials = Credentials("key", case["secret"], "phrase")
    signature = credentials.sign(case["method"], case["path"], case["body"], int(case["timestamp"]))
    assert signature == case.get("unified_sdk_signature", case["signature"])
    message = f"{case['timestamp']}{case['method']}{case['path']}{case['body'] or ''}".encode()
    digest = hmac.digest(bytes.fromhex(case["secret_hex"]), message, hashlib.sha256)
    assert signature == base64.urlsafe_b64encode(digest).decode()
    assert hmac_sha256(bytes.fromhex(case["secret_hex"]), message) == digest


@pytest.mark.parametrize(("meta", "case", "headers"), requests(2))
def test_l2_headers_are_those_the_clients_send(meta, case, headers):
    credentials = Credentials(meta["api_key"], meta["api_secret"], meta["api_passphrase"])
    for body in (case["body"], case["body"].encode(), case["body"] or None):
        built = l2_headers(
            credentials, case["method"], case["path"], body, meta["now"], headers["POLY_ADDRESS"]
        )
        assert built == headers
        assert list(built) == L2_KEYS


def test_no_body_and_an_empty_body_sign_alike():
    signatures = {CREDENTIALS.sign("GET", "/orders", body, 1) for body in (None, "", b"")}
    assert len(signatures) == 1


def test_every_part_of_the_request_is_signed():
    signatures = [
        CREDENTIALS.sign(*arguments)
        for arguments in [
            ("GET", "/order", None, 1),
            ("POST", "/order", None, 1),
            ("GET", "/orders", None, 1),
            ("GET", "/order", "{}", 1),
            ("GET", "/order", None, 2),
        ]
    ]
    signatures.append(Credentials("key-1", SECRET[4:], "phrase-1").sign("GET", "/order", None, 1))
    assert len(set(signatures)) == len(signatures)


@pytest.mark.parametrize("length", [1, 2, 3, 16, 31, 32, 33, 63, 64, 65, 200])
def test_a_secret_is_read_in_either_alphabet_with_or_without_padding(length):
    key = bytes((251 + 7 * i) % 256 for i in range(length))
    expected = hmac.digest(key, b"1GET/order", hashlib.sha256)
    for encode in (base64.urlsafe_b64encode, base64.standard_b64encode):
        full = encode(key).decode()
        bare = full.rstrip("=")
        for secret in {full, bare, bare + "=" * (len(full) - len(bare) > 0)}:
            signature = Credentials("key", secret, "phrase").sign("GET", "/order", None, 1)
            assert base64.urlsafe_b64decode(signature) == expected


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "=",
        "====",
        "s",
        "s3cr3",
        "s3cr3tGARBAGE!",
        "s3cr3t s3cr3t",
        "s3cr3t\n",
        "\ns3cr3t",
        "s3cr3t===",
        "s3cr=",
        "s3=cr3t=",
        "s3cr3té=",
        "s3cr3t\x00=",
        b"s3cr3tbytes=",
        None,
        12345,
    ],
    ids=repr,
)
def test_a_secret_that_is_none_is_refused_and_not_shown(secret):
    with pytest.raises(KeyMaterialError) as caught:
        Credentials("key", secret, "phrase")
    shown = "".join(traceback.format_exception_only(caught.value)) + repr(caught.value.args)
    assert "s3" not in shown
    assert "12345" not in shown
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_neither_secret_nor_passphrase_is_in_any_rendering():
    for text in (repr(CREDENTIALS), str(CREDENTIALS), f"{CREDENTIALS}", "%r" % (CREDENTIALS,)):  # noqa: UP031
        assert "key-1" in text
        assert SECRET not in text
        assert "phrase-1" not in text


def test_credentials_cannot_be_changed():
    with pytest.raises(AttributeError):
        CREDENTIALS.api_key = "other"


@pytest.mark.parametrize(
    "value",
    ["", " a", "a ", "a\r\nX-Evil: 1", "a\n", "a\rb", "a\0b", "a\x7f", "clé", "a\u2028b", "\t"],
)
def test_what_could_end_a_header_is_refused_and_a_passphrase_is_not_shown(value):
    with pytest.raises(MalformedError, match="api_key"):
        Credentials(value, SECRET, "phrase")
    with pytest.raises(MalformedError, match="passphrase") as caught:
        Credentials(
            "key", SECRET, f"s3cr3t{value}s3cr3t" if value.strip() == value != "" else value
        )
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("value", [None, b"bytes", 1], ids=repr)
def test_header_values_are_text(value):
    with pytest.raises(ArgumentTypeError, match="api_key"):
        Credentials(value, SECRET, "phrase")
    with pytest.raises(ArgumentTypeError, match="passphrase"):
        Credentials("key", SECRET, value)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"method": "get"}, RangeError, "'get' is not one of GET, POST, DELETE, PUT, PATCH"),
        ({"method": "HEAD"}, RangeError, "'HEAD'"),
        ({"method": "GET\r\n"}, RangeError, "method"),
        ({"method": None}, RangeError, "'None'"),
        ({"method": []}, RangeError, "method"),
        ({"path": "orders"}, MalformedError, "path 'orders' is not /"),
        ({"path": ""}, MalformedError, "path"),
        ({"path": "https://clob.polymarket.com/orders"}, MalformedError, "path"),
        ({"path": "/data/orders?market=0x1"}, MalformedError, "query, which is never signed"),
        ({"path": "/data/orders?"}, MalformedError, "query, which is never signed"),
        ({"path": "/data/orders#top"}, MalformedError, "never signed"),
        ({"path": "/a b"}, MalformedError, "path"),
        ({"path": "/a\r\nHost: x"}, MalformedError, "path"),
        ({"path": "/a\n"}, MalformedError, "path"),
        ({"path": "/é"}, MalformedError, "path"),
        ({"path": None}, ArgumentTypeError, "path"),
        ({"path": b"/orders"}, ArgumentTypeError, "path"),
        ({"body": {"a": 1}}, ArgumentTypeError, "body"),
        ({"body": 1}, ArgumentTypeError, "body"),
        ({"body": {}}, ArgumentTypeError, "body"),
        ({"body": 0}, ArgumentTypeError, "body"),
        ({"body": "\ud800"}, MalformedError, "body"),
        ({"timestamp": "1"}, ArgumentTypeError, "timestamp"),
        ({"timestamp": 1.0}, ArgumentTypeError, "timestamp"),
        ({"timestamp": True}, ArgumentTypeError, "timestamp"),
        ({"timestamp": -1}, RangeError, "timestamp"),
        ({"timestamp": 1_790_000_000_000}, RangeError, "timestamp"),
        ({"address": ADDRESS + "\r\nX: 1"}, MalformedError, "address"),
        ({"address": ADDRESS[:-1] + "7"}, MalformedError, "EIP-55"),
        ({"address": ADDRESS[2:]}, MalformedError, "address"),
        ({"address": None}, ArgumentTypeError, "address"),
    ],
)
def test_a_request_that_cannot_be_signed_is_refused(change, error, says):
    request = {"method": "GET", "path": "/orders", "body": None, "timestamp": 1, "address": ADDRESS}
    assert list(l2_headers(CREDENTIALS, **request)) == L2_KEYS
    with pytest.raises(error, match=says) as caught:
        l2_headers(CREDENTIALS, **{**request, **change})
    assert isinstance(caught.value, InputError)


@pytest.mark.parametrize("timestamp", [0, 10**11])
def test_timestamps_end_where_seconds_do(timestamp):
    assert l2_headers(CREDENTIALS, "GET", "/", None, timestamp, ADDRESS)["POLY_TIMESTAMP"] == str(
        timestamp
    )
    with pytest.raises(RangeError, match=r"timestamp 100000000001 is outside 0\.\.100000000000"):
        l2_headers(CREDENTIALS, "GET", "/", None, 10**11 + 1, ADDRESS)


# --- L1 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases("clob_auth"))
def test_l1_headers_are_those_of_the_sdks(case):
    arguments = (case["address"], int(case["timestamp"]), case["nonce"], case["chain_id"])
    assert "0x" + clob_auth_digest(*arguments).hex() == case["digest"]
    assert "0x" + eip712.clob_auth_digest(*arguments).hex() == case["digest"]
    wallet = Wallet(case["private_key"], case["address"], case["chain_id"])
    built = l1_headers(wallet, int(case["timestamp"]), case["nonce"])
    assert built == case["headers"]
    assert list(built) == ["POLY_ADDRESS", "POLY_SIGNATURE", "POLY_TIMESTAMP", "POLY_NONCE"]


@pytest.mark.parametrize(("meta", "case", "headers"), requests(1))
def test_l1_headers_are_those_the_clients_send(meta, case, headers):
    wallet = Wallet(meta["private_key"], headers["POLY_ADDRESS"], 137)
    assert l1_headers(wallet, meta["now"], int(headers["POLY_NONCE"])) == headers


def test_the_nonce_is_zero_unless_another_key_is_meant():
    assert l1_headers(Fixed("0x" + "ab" * 65), 1)["POLY_NONCE"] == "0"


@pytest.mark.parametrize(
    "signature",
    ["", "0x", "ab" * 65, "0x" + "ab" * 64, "0x" + "ab" * 65 + "\r\nX: 1", "0x" + "é" * 130],
)
def test_a_signature_that_could_break_a_header_is_refused(signature):
    with pytest.raises(MalformedError, match="signature"):
        l1_headers(Fixed(signature), 1)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"timestamp": 10**12}, RangeError),
        ({"timestamp": "1"}, ArgumentTypeError),
        ({"nonce": -1}, RangeError),
        ({"nonce": 2**256}, RangeError),
        ({"nonce": 0.0}, ArgumentTypeError),
        ({"chain_id": -1}, RangeError),
        ({"chain_id": "137"}, ArgumentTypeError),
        ({"address": "0x00"}, MalformedError),
        ({"address": ADDRESS + "\n"}, MalformedError),
    ],
)
def test_an_l1_digest_of_nonsense_is_refused(change, error):
    arguments = {"address": ADDRESS, "timestamp": 1, "nonce": 0, "chain_id": 137, **change}
    with pytest.raises(error, match=next(iter(change))) as caught:
        clob_auth_digest(**arguments)
    assert isinstance(caught.value, PolyarbError)


# --- the twin that judges our own digests ------------------------------------------------------


@pytest.mark.parametrize(
    "case", [case for generation in (1, 2, 3) for case in cases(f"v{generation}_orders")]
)
def test_the_slow_eip712_twin_gives_the_published_hashes(case):
    domain, message = case["domain"], case["message"]
    generation, contract = int(domain["version"]), domain["verifyingContract"]
    separator = eip712.domain_separator(domain["version"], domain["chainId"], contract)
    assert eip712.encode_type("Order", eip712.ORDER[generation]) == case["encode_type"]
    assert "0x" + separator.hex() == case["domain_separator"]
    assert "0x" + eip712.order_struct_hash(generation, message).hex() == case["struct_hash"]
    arguments = (generation, domain["chainId"], contract, message)
    assert "0x" + eip712.order_digest(*arguments).hex() == case["digest"]
    if wrapped := case.get("erc7739"):
        assert "0x" + eip712.typed_data_sign_digest(*arguments).hex() == wrapped["signed_digest"]
