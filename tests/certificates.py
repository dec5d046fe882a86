"""A self-signed certificate of localhost, made once a run."""

import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest


@cache
def _made() -> Path | None:
    folder = Path(tempfile.mkdtemp(prefix="polyarb-tls-"))
    key, cert, both = folder / "key", folder / "cert", folder / "localhost.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        return None
    both.write_text(key.read_text() + cert.read_text())
    return both


def certificate() -> Path:
    """Return a file with the certificate and its key; skip without openssl."""
    made = _made()
    if made is None:
        pytest.skip("openssl is not installed")
    return made
