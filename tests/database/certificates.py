"""Certificates for servers of the tests."""

import subprocess
from pathlib import Path


def certify(folder: Path, address: str) -> Path:
    """Write `server.crt` and `server.key` for this IP address; return the path of its authority.

    The certificate is self-signed, so it is its own authority: clients need it in `sslrootcert`.
    """
    certificate = folder / "server.crt"
    subject = ["-subj", f"/CN={address}", "-addext", f"subjectAltName=IP:{address}"]
    files = ["-keyout", str(folder / "server.key"), "-out", str(certificate)]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]
    subprocess.run(  # noqa: S603 -- a certificate of our own
        ["openssl", "req", "-x509", "-days", "2", *key, *subject, *files],  # noqa: S607 -- as found
        check=True,
        capture_output=True,
    )
    return certificate
