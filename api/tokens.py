"""OIDC bearer tokens: signed by an issuer that the operator named, for this service, and not expired.

Also what CDS Hooks clients send: a token signed by the EHR, its keys at an address agreed beforehand. A `jku` header is
never followed.
"""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import jwt
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from analyzer.errors import InputError

_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
_LEEWAY = 30
"""Seconds that clocks may differ."""
_FETCH_SECONDS = 5
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def _safe_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ValueError("must be an https address")
    return value


Address = Annotated[str, AfterValidator(_safe_address)]


class Issuer(BaseModel):
    """Who may sign. Without `jwks_uri` the issuer's discovery document names it. A token must hold `scope`, if set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: Address
    audience: str = Field(min_length=1)
    jwks_uri: Address | None = None
    scope: str | None = None


def read_issuers(file: Path) -> list[Issuer]:
    """The issuers of a JSON file, a list. Raises InputError for a file that is none."""
    try:
        return TypeAdapter(list[Issuer]).validate_json(file.read_bytes())
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise InputError(f"{file}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


class TokenCheck:
    """Checks tokens of the named issuers. May block for a few seconds while keys are fetched: use it in a thread."""

    def __init__(self, issuers: Sequence[Issuer]) -> None:
        self._issuers = {issuer.issuer: issuer for issuer in issuers}
        self._keys: dict[str, jwt.PyJWKClient] = {}
        self._lock = threading.Lock()

    def subject(self, token: str) -> str | None:
        """Who the token speaks for, `subject@issuer`, or None for one that does not hold."""
        try:
            claimed = jwt.decode(token, options={"verify_signature": False}).get("iss")
            issuer = self._issuers.get(claimed) if isinstance(claimed, str) else None
            if issuer is None:
                return None
            key = self._key_client(issuer).get_signing_key_from_jwt(token)
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                audience=issuer.audience,
                issuer=issuer.issuer,
                leeway=_LEEWAY,
                options={"require": ["exp", "iss", "aud"]},
            )
        except (jwt.PyJWTError, OSError, ValueError):
            return None
        scopes = claims.get("scope", claims.get("scp", ""))
        held = scopes.split() if isinstance(scopes, str) else scopes
        if issuer.scope is not None and (not isinstance(held, list) or issuer.scope not in held):
            return None
        return f"{claims.get('sub') or claims.get('client_id') or '-'}@{urlsplit(issuer.issuer).hostname}"

    def _key_client(self, issuer: Issuer) -> jwt.PyJWKClient:
        with self._lock:
            known = self._keys.get(issuer.issuer)
            if known is None:
                uri = issuer.jwks_uri or _discovered(issuer)
                known = jwt.PyJWKClient(uri, cooldown_duration=_FETCH_SECONDS, timeout=_FETCH_SECONDS)
                self._keys[issuer.issuer] = known
            return known


def _discovered(issuer: Issuer) -> str:
    """The `jwks_uri` of an issuer's discovery document. Raises OSError or ValueError."""
    address = issuer.issuer.rstrip("/") + "/.well-known/openid-configuration"
    with urllib.request.urlopen(address, timeout=_FETCH_SECONDS) as answer:
        found = json.load(answer)
    if (
        not isinstance(found, dict)
        or found.get("issuer") != issuer.issuer
        or not isinstance(found.get("jwks_uri"), str)
    ):
        raise ValueError("no discovery document of this issuer")
    return _safe_address(found["jwks_uri"])
