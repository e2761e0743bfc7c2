"""The code zip and the layers: the same bytes every time, and together all that the functions import."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ops import artifact
from ops.artifact import Artifact, ArtifactError, build_code, build_layer, check_size, interpreter_at_hand

ROOT = artifact.ROOT


def copy_of_the_checkout(folder: Path) -> Path:
    """The packages and the lock, in another folder."""
    for name in ("app", "migrations", "requirements"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def rebuilt_elsewhere(root: Path, umask: int, seed: int) -> bytes:
    """The code zip of a checkout whose files are of other times and modes, built by another process."""
    made_up = random.Random(seed)  # noqa: S311 - times of files
    for path in sorted(root.rglob("*")):
        os.utime(path, (made_up.randrange(10**9), made_up.randrange(10**9)))
        if path.is_file():
            path.chmod(0o600 | made_up.choice((0, 0o55, 0o77)))
    script = f"""
import os, pathlib
os.umask({umask})
from ops.artifact import build_code
build_code(pathlib.Path({str(root)!r}))"""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONHASHSEED": str(seed),
        "TZ": ("UTC", "Asia/Tokyo")[seed % 2],
    }
    subprocess.run([sys.executable, "-c", script], env=environment, cwd=root.parent, check=True)
    return (root / ".build" / "code.zip").read_bytes()


def test_the_code_zip_is_the_same_bytes_wherever_and_whenever_it_is_built(tmp_path: Path) -> None:
    """Its hash names a release, so nothing but the files' names and contents may reach it."""
    here = build_code(ROOT, tmp_path / "here")
    one = rebuilt_elsewhere(copy_of_the_checkout(tmp_path / "one"), 0o077, 1)
    two = rebuilt_elsewhere(copy_of_the_checkout(tmp_path / "a" / "longer" / "two"), 0o002, 2)

    assert here.path.read_bytes() == one == two


def test_the_code_zip_changes_with_a_byte_and_with_a_name(tmp_path: Path) -> None:
    """Two releases never share a digest."""
    root = copy_of_the_checkout(tmp_path)
    first = build_code(root)
    (root / "app" / "routes.py").open("a").write("\n")
    second = build_code(root)
    (root / "app" / "breaker.py").rename(root / "app" / "fuse.py")
    third = build_code(root)

    assert len({first.sha256, second.sha256, third.sha256}) == 3
    assert third.path.read_bytes() == (root / ".build" / "code.zip").read_bytes()
    assert f"code-{third.sha256}.zip" == third.path.name


def test_the_code_zip_holds_neither_bytecode_nor_another_package(tmp_path: Path) -> None:
    """Whatever lies about beside the sources."""
    root = copy_of_the_checkout(tmp_path)
    (root / "app" / "__pycache__").mkdir()
    (root / "app" / "__pycache__" / "api.cpython-311.pyc").write_bytes(b"x")
    (root / "app" / ".api.py.swp").write_bytes(b"x")

    names = zipfile.ZipFile(build_code(root).path).namelist()

    assert names == sorted(names)
    assert {"app", "migrations"} == {name.split("/")[0] for name in names}
    assert [name for name in names if "__pycache__" in name or name.endswith(".swp")] == []
    assert {"migrations/schema.sql", "migrations/env.py", "migrations/script.py.mako"} <= set(names)


def test_what_is_not_pure_is_refused_with_the_remedy(tmp_path: Path) -> None:
    """A shared object would be one machine's, in a zip that is every machine's."""
    root = copy_of_the_checkout(tmp_path)
    (root / "app" / "fast.so").write_bytes(b"\x7fELF")

    with pytest.raises(ArtifactError, match=r"not app/fast\.so: .*requirements/layer\.in"):
        build_code(root)
    assert not (root / ".build" / "code.zip").exists()


def test_a_folder_without_the_packages_is_no_checkout(tmp_path: Path) -> None:
    """An empty zip would be a valid file, and a broken function."""
    with pytest.raises(ArtifactError, match="no package app and no package migrations"):
        build_code(tmp_path)


def test_the_file_is_readable_for_whoever_runs_it(tmp_path: Path) -> None:
    """The sandbox's functions are another user's processes."""
    built = build_code(copy_of_the_checkout(tmp_path))

    assert built.path.stat().st_mode & 0o777 == 0o644
    assert {0o100644} == {entry.external_attr >> 16 for entry in zipfile.ZipFile(built.path).infolist()}


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The layer for the interpreter at hand, built for this run."""
    python, architecture = interpreter_at_hand()
    return build_layer(ROOT, tmp_path_factory.mktemp("layer"), python=python, architecture=architecture)


def test_the_layer_holds_all_that_the_zip_imports(layer: Artifact, tmp_path: Path) -> None:
    """In an interpreter that sees the standard library, the zip and the layer, and nothing else."""
    zipfile.ZipFile(build_code(ROOT, tmp_path).path).extractall(tmp_path / "task")
    zipfile.ZipFile(layer.path).extractall(tmp_path / "opt")
    paths = [str(tmp_path / "task"), str(tmp_path / "opt" / "python")]
    script = f"""
import sys
sys.path[:0] = {paths!r}
import importlib, pkgutil, app, migrations
for package in (app, migrations):
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if module.name != "migrations.env":  # runs inside of Alembic only: the rendering below does
            importlib.import_module(module.name)
import alembic.command, boto3, psycopg.pq, pydantic, sqlalchemy.dialects.postgresql.psycopg
boto3.client("secretsmanager", region_name="eu-central-1")
assert psycopg.pq.__impl__ == "binary"
from migrations.configuration import SCRIPTS
from migrations.offline import render
print(*[r["revision"] for r in render(SCRIPTS, None) if r["sql"]])
outside = [m.__file__ for m in sys.modules.values() if "site-packages" in (getattr(m, "__file__", None) or "")]
assert not outside, outside
"""
    base = Path(sys.base_prefix) / "bin" / f"python{interpreter_at_hand()[0]}"
    done = subprocess.run(
        [base, "-S", "-E", "-s", "-P", "-c", script], env={}, cwd="/", capture_output=True, text=True, check=False
    )

    assert done.stderr == ""
    assert done.stdout.startswith("0001 0002 0003")


def test_the_layer_says_what_it_is_of(layer: Artifact) -> None:
    """The sandbox looks for the one with the same requirements and its own interpreter."""
    python, architecture = interpreter_at_hand()
    with zipfile.ZipFile(layer.path) as opened:
        manifest = json.loads(opened.read("python/.layer.json"))
        names = opened.namelist()

    assert {
        "python": python,
        "architecture": architecture,
        "requirements": artifact._sha256(ROOT / "requirements" / "layer.txt"),
        "authorities": artifact._sha256(ROOT / "requirements" / "authorities.txt"),
    } == manifest
    assert ["certs/rds-ca.pem"] == [name for name in names if not name.startswith("python/")]
    assert [name for name in names if name.endswith((".pyc", ".pyi"))] == []


def test_the_layer_holds_the_authorities_of_rds(layer: Artifact) -> None:
    """Each can be read, and the roots that new instances get today are there for the stacks' region.

    Fingerprints: those of AWS's bundle, which two publishers have alike; see docs/decisions/0006-rds-authorities.md.
    """
    with zipfile.ZipFile(layer.path) as opened:
        bundle = opened.read("certs/rds-ca.pem")
    certificates = x509.load_pem_x509_certificates(bundle)
    roots = {}
    for certificate in certificates:
        [name] = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        roots[name.value] = certificate
    assert bundle.count(b"BEGIN CERTIFICATE") == len(certificates) == len(roots)
    now = datetime.now(UTC)
    for kind, fingerprint in (
        ("RSA2048", "3d8b08a7390c9b10"),
        ("RSA4096", "3111f322e448c26e"),
        ("ECC384", "ae697d082ee1862f"),
    ):
        root = roots[f"Amazon RDS eu-central-1 Root CA {kind} G1"]
        assert root.fingerprint(hashes.SHA256()).hex().startswith(fingerprint)
        root.verify_directly_issued_by(root)
        assert root.not_valid_before_utc < now < root.not_valid_after_utc
    # https://www.amazontrust.com/repository/ has the same: a proxy's certificate is signed by one of these.
    assert {
        "Amazon Root CA 1": "8ecde6884f3d87b1",
        "Amazon Root CA 2": "1ba5b2aa8c65401a",
        "Amazon Root CA 3": "18ce6cfe7bf14e60",
        "Amazon Root CA 4": "e35d28419ed02025",
    } == {name: roots[name].fingerprint(hashes.SHA256()).hex()[:16] for name in roots if name.startswith("Amazon Root")}


def test_functions_find_the_authorities_where_the_settings_say() -> None:
    """The layer is merged into /opt."""
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    assert f"/opt/{artifact.AUTHORITIES}" == declared["databaseCa"]["default"]


def test_a_wheel_without_the_authorities_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than deploying what could not verify its database."""
    monkeypatch.setattr(artifact, "_BUNDLE", "moved/elsewhere.pem")
    python, architecture = interpreter_at_hand()
    with pytest.raises(ArtifactError, match=r"authorities\.txt has no moved/elsewhere\.pem: .*make lock"):
        build_layer(ROOT, tmp_path, python=python, architecture=architecture)
    assert [] == list(tmp_path.glob("layer*"))


def test_the_layer_is_the_same_bytes_twice_on_one_machine(layer: Artifact, tmp_path: Path) -> None:
    """So a rebuilt one is no new version."""
    python, architecture = interpreter_at_hand()

    assert layer.sha256 == build_layer(ROOT, tmp_path, python=python, architecture=architecture).sha256


def test_a_layer_that_is_there_is_not_built_again(layer: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the lock changes, or the file is damaged."""
    python, architecture = interpreter_at_hand()
    monkeypatch.setattr(artifact, "_install", lambda *_: pytest.fail("installed again"))

    assert layer == build_layer(ROOT, layer.path.parent, python=python, architecture=architecture)


def test_a_layer_of_another_lock_is_built_again(layer: Artifact, tmp_path: Path) -> None:
    """The lock's hash in its manifest is another."""
    root = copy_of_the_checkout(tmp_path)
    (root / "requirements" / "layer.txt").open("a").write("\n# later\n")
    python, architecture = interpreter_at_hand()
    shutil.copy(layer.path, root / layer.path.name)

    built = build_layer(root, root, python=python, architecture=architecture)

    assert layer.sha256 != built.sha256


def test_a_layer_for_the_runtime_on_aws_is_built_from_its_wheels(tmp_path: Path) -> None:
    """Native parts are for the runtime's version and processor, not for the machine that builds."""
    built = build_layer(ROOT, tmp_path, python="3.13", architecture="arm64")

    native = [name for name in zipfile.ZipFile(built.path).namelist() if ".cpython-" in name]
    assert native
    assert [name for name in native if "cpython-313-aarch64-linux" not in name] == []
    assert built.path.stat().st_size < 50 * 1024 * 1024  # what one request to Lambda takes


def test_a_requirement_without_a_wheel_is_told_from_a_missing_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with its own remedy, and the requirement's name."""
    with pytest.raises(
        ArtifactError, match=r"python3\.6 on arm64 cannot be built: a requirement has no wheel .*make lock"
    ):
        build_layer(ROOT, tmp_path, python="3.6")

    for name, value in {"UV_CACHE_DIR": str(tmp_path / "empty"), "HTTPS_PROXY": "http://127.0.0.1:9"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(
        ArtifactError, match=r"cannot be built: [a-z0-9-]+ is neither in uv's cache .*check the network"
    ):
        build_layer(ROOT, tmp_path)
    assert list(tmp_path.glob("layer*")) == []


@pytest.mark.parametrize(("python", "architecture", "named"), [("3.13", "arm", "arm"), ("latest", "arm64", "latest")])
def test_a_runtime_that_lambda_does_not_have_is_refused(python: str, architecture: str, named: str) -> None:
    """Before anything is downloaded."""
    with pytest.raises(ArtifactError, match=named):
        build_layer(ROOT, python=python, architecture=architecture)


def test_lambdas_limit_is_checked_with_the_biggest_named(
    layer: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lambda would say it only when the function is created."""
    code = build_code(ROOT, tmp_path)
    check_size(code, layer)
    monkeypatch.setattr(artifact, "LIMIT", 10 * 1024 * 1024)
    python, architecture = interpreter_at_hand()

    with pytest.raises(ArtifactError, match=r"layer-python.* MB\): take something out"):
        check_size(code, layer)
    with pytest.raises(ArtifactError, match=r"biggest: botocore .* MB"):
        build_layer(ROOT, tmp_path, python=python, architecture=architecture)
