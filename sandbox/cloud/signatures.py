"""Signatures of zips, as AWS Signer leaves them on code for Lambda: played by a key pair of the sandbox's own.

A signed zip is the unsigned one with a longer comment at its end, so it unpacks to the same files and yet has another
hash, as AWS's has. The comment says who signed it, in which job and until when, and the hash of the unsigned zip; over
that stands an ECDSA signature with SHA-384. Where AWS puts its signature is not documented.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import json
import os
import struct
import zipfile
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from pathlib import Path

_MARK: Final = b"\n--sandbox-signer--\n"
_END: Final = b"PK\x05\x06"
_END_BYTES: Final = 22  # of a zip's last record, without the comment
_LONGEST_COMMENT: Final = 0xFFFF


class UnsignableError(ValueError):
    """Signer refuses to sign this; the message says why."""


class IntegrityError(ValueError):
    """What was signed has been changed, or the signature is none of this account's."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signature:
    """What a signature says.

    Attributes:
        profile_version_arn: Of the signing profile's version.
        job_arn: Of the signing job.
        expires: When it does, in seconds since the epoch.
        digest: SHA-384 of the unsigned zip, in hexadecimal digits.
    """

    profile_version_arn: str
    job_arn: str
    expires: float
    digest: str


class Signatures:
    """Signs zips and reads signatures."""

    def __init__(self, folder: Path) -> None:
        """Find the key pair, or make one.

        Args:
            folder: where it is kept.
        """
        self._key = _key(folder)

    def sign(self, content: bytes, *, profile_version_arn: str, job_arn: str, expires: float) -> bytes:
        """Return the signed zip.

        Args:
            content: the unsigned one.
            profile_version_arn: of the profile's version that signs.
            job_arn: of the job.
            expires: when the signature does, in seconds since the epoch.

        Raises:
            UnsignableError: the zip is malformed, empty or signed already.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                names, comment = archive.namelist(), archive.comment
        except (zipfile.BadZipFile, ValueError) as error:
            raise UnsignableError("the object is not a zip file") from error
        if not names:
            raise UnsignableError("the zip file is empty")
        if _MARK in comment:
            raise UnsignableError("the zip file already has a signature")
        said = Signature(
            profile_version_arn=profile_version_arn,
            job_arn=job_arn,
            expires=expires,
            digest=hashlib.sha384(content).hexdigest(),
        )
        text = json.dumps(dataclasses.asdict(said), sort_keys=True).encode()
        seal = base64.b64encode(self._key.sign(text, ec.ECDSA(hashes.SHA384())))
        return _commented(content, comment + _MARK + text + b"\n" + seal)

    def read(self, content: bytes) -> Signature | None:
        """Return the signature of a zip; None where there is none.

        Raises:
            IntegrityError: there is one, but it is not of this content or not by this key.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                comment = archive.comment
        except (zipfile.BadZipFile, ValueError):
            return None
        before, mark, signed = comment.partition(_MARK)
        if not mark:
            return None
        text, _, seal = signed.partition(b"\n")
        try:
            self._key.public_key().verify(base64.b64decode(seal), text, ec.ECDSA(hashes.SHA384()))
            said = Signature(**json.loads(text))
        except (InvalidSignature, ValueError, TypeError) as error:
            raise IntegrityError("the signature is not this account's") from error
        if hashlib.sha384(_commented(content, before)).hexdigest() != said.digest:
            raise IntegrityError("the zip was changed after it was signed")
        return said


def _commented(content: bytes, comment: bytes) -> bytes:
    """Return a zip with another comment.

    Raises:
        UnsignableError: the comment is longer than a zip's can be.
    """
    if len(comment) > _LONGEST_COMMENT:
        raise UnsignableError("the zip file's comment leaves no room for a signature")
    at = content.rfind(_END)
    while at >= 0 and len(content) - at - _END_BYTES != struct.unpack_from("<H", content, at + _END_BYTES - 2)[0]:
        at = content.rfind(_END, 0, at)  # a comment may hold the same four bytes
    return content[: at + _END_BYTES - 2] + struct.pack("<H", len(comment)) + comment


def _key(folder: Path) -> ec.EllipticCurvePrivateKey:
    path = folder / "key.pem"
    if path.exists():
        found = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if isinstance(found, ec.EllipticCurvePrivateKey):
            return found
    key = ec.generate_private_key(ec.SECP384R1())
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    content = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return key
