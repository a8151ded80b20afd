"""CAT's archives from archive.org. A broken download is resumed; an archive that is not whole is noticed."""

import urllib.error
import urllib.request
import zipfile
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rgan_bench.errors import UserError, one_line

BASE_URL = "https://archive.org/download/CAT_DATASET/"
FILES = ("CAT_DATASET_01.zip", "CAT_DATASET_02.zip", "00000003_015.jpg.cat")
CHUNK = 1 << 20
TRIES = 5  # in a row without a single new byte
FAILURES = (OSError, HTTPException)  # urllib's are among the first; the second are answers that are no HTTP


def download(folder: Path) -> None:
    """Fetches what is missing into the folder.

    Raises:
        UserError: no network, no space, or an archive that is not whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        path = folder / name
        if not path.exists():
            part = path.with_name(name + ".part")
            try:
                fetch(BASE_URL + name, part)
            except FAILURES as error:
                raise UserError(
                    f"--download: cannot get {BASE_URL + name} ({one_line(error)}); call it again to resume, or fetch "
                    f"the file elsewhere and put it into {folder}"
                ) from error
            check_whole(part)
            part.replace(path)


def fetch(url: str, part: Path) -> None:
    """Downloads to `part`, going on where it ends, also after a connection that breaks off."""
    with tqdm(desc=part.stem, unit="B", unit_scale=True, unit_divisor=1024, initial=_size(part)) as bar:
        fruitless = 0
        while True:
            before = _size(part)
            try:
                if _fetch_on(url, part, bar):
                    return
                problem: Exception = ConnectionError(f"the connection broke off after {_size(part):,} bytes")
            except urllib.error.HTTPError:
                raise  # the server has answered: asking again will not change that
            except FAILURES as error:
                problem = error
            fruitless = 0 if _size(part) > before else fruitless + 1
            if fruitless == TRIES:
                raise problem


def _fetch_on(url: str, part: Path, bar: "tqdm[Any]") -> bool:
    """One connection; True where the file is complete afterwards."""
    start = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to be sent: it was complete
            return True
        raise
    with response:
        resumed = response.status == 206
        if start and not resumed:  # a server that knows no ranges sends all of it again
            bar.reset()
            start = 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length is not None else None
        bar.total = total
        with part.open("ab" if resumed else "wb") as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    return total is None or _size(part) >= total


def check_whole(path: Path) -> None:
    """Reads every member of a .zip against its checksum.

    Raises:
        UserError: it is not whole; the file is removed, since going on from its end would not help.
    """
    if ".zip" not in path.suffixes:
        return
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except Exception as error:  # damage can look like many things: an unknown compression, a password
        bad = one_line(error)
    if bad is not None:
        path.unlink()
        raise UserError(f"--download: {path.stem} arrived damaged ({bad}) and was removed; call it again")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
