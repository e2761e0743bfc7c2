"""JSON Web Tokens signed with a key pair of the sandbox's own, kept in a folder."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ALGORITHM: Final = "RS256"
_BITS: Final = 2048
_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "RS256": hashes.SHA256(),
    "RS384": hashes.SHA384(),
    "RS512": hashes.SHA512(),
}


class SigningKey:
    """A key pair.

    Attributes:
        id: by which a key set names it.
    """

    def __init__(self, folder: Path) -> None:
        """Find the key pair, or make one.

        Args:
            folder: where it is kept.
        """
        self._key = _load(folder)
        public = self._key.public_key().public_numbers()
        self._modulus = encode(public.n.to_bytes(_BITS // 8, "big"))
        self._exponent = encode(public.e.to_bytes(3, "big"))
        self.id = hashlib.sha256(self._modulus.encode()).hexdigest()[:32].upper()

    @property
    def jwk(self) -> dict[str, str]:
        """The public key, as it stands in a key set."""
        return {
            "kty": "RSA",
            "alg": ALGORITHM,
            "use": "sig",
            "kid": self.id,
            "n": self._modulus,
            "e": self._exponent,
        }

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return a token that says this."""
        head = {"typ": "JWT", "alg": ALGORITHM, "kid": self.id}
        signed = f"{encode(json.dumps(head).encode())}.{encode(json.dumps(claims).encode())}"
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{encode(signature)}"


def read(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a token's head and claims, unchecked.

    Raises:
        ValueError: it is no token.
    """
    head, body, _ = token.split(".")
    found = json.loads(decode(head)), json.loads(decode(body))
    if not all(isinstance(part, dict) for part in found):
        msg = "head and body of a token are objects"
        raise ValueError(msg)
    return found


def verified(token: str, jwk: Mapping[str, Any], algorithm: str) -> bool:
    """Tell whether a token is signed by a key.

    Args:
        token: of three parts.
        jwk: the RSA key.
        algorithm: that the token's head names; none but RSA's with PKCS #1 v1.5 is known.
    """
    digest = _HASHES.get(algorithm)
    if digest is None or jwk.get("kty") != "RSA":
        return False
    signed, _, signature = token.rpartition(".")
    try:
        modulus, exponent = (int.from_bytes(decode(str(jwk[part])), "big") for part in ("n", "e"))
        key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
        key.verify(decode(signature), signed.encode(), padding.PKCS1v15(), digest)
    except (InvalidSignature, KeyError, ValueError):
        return False
    return True


def encode(content: bytes) -> str:
    """Return bytes as a token has them."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Return the bytes that a part of a token stands for.

    Raises:
        ValueError: for none.
    """
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _load(folder: Path) -> rsa.RSAPrivateKey:
    path = folder / "key.pem"
    if path.exists():
        found = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if isinstance(found, rsa.RSAPrivateKey):
            return found
    key = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    content = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return key
