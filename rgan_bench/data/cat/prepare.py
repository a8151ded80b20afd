"""Photos → aligned faces on disk. Finished files are kept, none is ever half written, no photo stops the others."""

import csv
import errno
import io
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from rgan_bench.data.cat.geometry import FaceCrop, face_crop, parse_landmarks
from rgan_bench.data.cat.source import CatFiles, read_first
from rgan_bench.errors import UserError, one_line
from rgan_bench.files import is_hidden, reason, write_atomically

EXPECTED = {64: 9304, 128: 6645, 256: 2011}  # images of the paper, arXiv 1807.00734 table 3
BORDER = (128, 128, 128)
EXTENSIONS = {"png": ".png", "jpeg": ".jpg"}


@dataclass(frozen=True)
class Outcome:
    """What became of one photo.

    Attributes:
        photo: its name; of a duplicate the place where it was found.
        status: one of STATUSES.
        detail: for people.
        width, height: of the crop.
        sizes: at which it was kept; none where the crop is too small.
    """

    photo: str
    status: str
    detail: str = ""
    width: int = 0
    height: int = 0
    sizes: tuple[int, ...] = ()


STATUSES = ("kept", "outlier", "no annotation", "bad annotation", "unreadable", "no area", "bad name", "duplicate")
# What systems answer to names that their files cannot have: too long, or of characters that they do not take.
BAD_NAME = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)


@dataclass(frozen=True)
class Job:
    """Where crops go, in which sizes and format, and how many pixels a photo may have."""

    out: Path
    sizes: tuple[int, ...]
    image_format: str
    max_pixels: int

    def path(self, photo: str, size: int) -> Path:
        return self.out / str(size) / self.file_name(photo)

    def file_name(self, photo: str) -> str:
        return Path(photo).stem + EXTENSIONS[self.image_format]

    def folders(self) -> list[Path]:
        return [self.out / str(size) for size in self.sizes]


def prepare(files: CatFiles, job: Job, left_out: frozenset[str], workers: int) -> Iterator[list[Outcome]]:
    """Crops every photo; yields as they are done, in the order of names, what became of each name's files.

    Raises:
        UserError: the output cannot be written, or holds files that this run would not make.
    """
    try:
        _check_output(files, job, left_out)
    except OSError as error:
        raise UserError(f"--out {job.out}: cannot make or read {error.filename} ({reason(error)})") from error
    cv2.setNumThreads(1)  # the threads below are the parallelism
    with ThreadPoolExecutor(workers) as pool:
        try:
            yield from pool.map(lambda name: process(name, files, job, left_out), sorted(files.photos))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def process(name: str, files: CatFiles, job: Job, left_out: frozenset[str]) -> list[Outcome]:
    """The photos of one name in lower case, from annotation to files: the first, and those that differ from it."""
    first = files.photos[name][0].name
    if name in left_out:
        return [Outcome(first, "outlier")]
    annotations = files.annotations.get(f"{name}.cat")
    if annotations is None:
        return [Outcome(first, "no annotation")]
    try:
        annotation = read_first(annotations)
        landmarks = parse_landmarks(annotation.content.decode("ascii", errors="replace"))
    except Exception as error:  # an archive may fail in many ways; this photo's way must not stop the others
        return [Outcome(first, "bad annotation", one_line(reason(error)))]
    try:
        photo = read_first(files.photos[name])
    except Exception as error:
        return [Outcome(first, "unreadable", one_line(reason(error)))]
    outcome = _process(photo.file.name, photo.content, landmarks, job)
    ignored = "".join(f"; {file.place} {problem}" for file, problem in annotation.others)
    if ignored:
        detail = f"{outcome.detail}; " * bool(outcome.detail) + f"annotation {annotation.file.place}{ignored}"
        outcome = replace(outcome, detail=one_line(detail))
    return [outcome] + [
        Outcome(file.place, "duplicate", one_line(f"{problem}; {photo.file.place} was used"))
        for file, problem in photo.others
    ]


def _process(photo: str, content: bytes, landmarks: list[float], job: Job) -> Outcome:
    try:
        width, height = photo_size(content)
        if width * height > job.max_pixels:
            return Outcome(photo, "unreadable", f"{width}×{height} pixels; limits.image_pixels={job.max_pixels}")
    except UnidentifiedImageError:  # its text names an object in memory
        return Outcome(photo, "unreadable", "not an image")
    except Exception as error:
        return Outcome(photo, "unreadable", one_line(reason(error)))
    try:
        crop = face_crop(landmarks, width, height)
    except (ValueError, OverflowError) as error:  # numbers so large that the box has no end
        return Outcome(photo, "bad annotation", str(error))
    if crop.shorter_side == 0:
        return Outcome(photo, "no area", f"box {crop.left},{crop.top} to {crop.right},{crop.bottom}")
    sizes = tuple(size for size in job.sizes if crop.shorter_side >= size)
    try:
        wanted = [size for size in sizes if not job.path(photo, size).exists()]
        if wanted:
            face = cut(content, crop)
            if face is None:
                return Outcome(photo, "unreadable", "does not decode", crop.width, crop.height)
            for size in wanted:
                write_image(job.path(photo, size), cv2.resize(face, (size, size), interpolation=cv2.INTER_LINEAR))
    except cv2.error as error:  # a side longer than OpenCV turns, say
        return Outcome(photo, "unreadable", one_line(error), crop.width, crop.height)
    except OSError as error:
        if error.errno in BAD_NAME:
            return Outcome(photo, "bad name", f"no file can have it here ({reason(error)})", crop.width, crop.height)
        raise UserError(
            f"--out {job.out}: cannot write {job.file_name(photo)} ({reason(error)}); mend that and call it again: "
            "finished files are kept"
        ) from error
    detail = "" if sizes else "crop smaller than every size"
    return Outcome(photo, "kept", detail, crop.width, crop.height, sizes)


def photo_size(content: bytes) -> tuple[int, int]:
    """(width, height) as OpenCV decodes it, from the header alone."""
    with Image.open(io.BytesIO(content), formats=("JPEG", "PNG", "BMP", "WEBP")) as image:
        turned = image.getexif().get(0x0112, 1) >= 5  # OpenCV honours EXIF: these orientations swap the sides
        return image.size[::-1] if turned else image.size


def cut(content: bytes, crop: FaceCrop) -> np.ndarray | None:
    """The turned photo within the box, uint8 BGR [height, width, 3]; None where the photo does not decode."""
    photo = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if photo is None:
        return None
    turn = cv2.getRotationMatrix2D(crop.centre, crop.degrees, 1.0)
    turned = cv2.warpAffine(photo, turn, photo.shape[1::-1], flags=cv2.INTER_LINEAR, borderValue=BORDER)
    return turned[crop.top : crop.bottom, crop.left : crop.right]


def write_image(path: Path, image: np.ndarray) -> None:
    done, encoded = cv2.imencode(path.suffix, image)
    assert done, path
    write_atomically(path, lambda file: file.write(encoded.tobytes()))


def write_report(path: Path, outcomes: list[Outcome]) -> None:
    """`report.csv`: one line per photo, in UTF-8 whatever bytes a name has.

    Raises:
        UserError: it cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["photo", "status", "detail", "crop_width", "crop_height", "sizes"])
    for outcome in outcomes:
        sizes = " ".join(map(str, outcome.sizes))
        writer.writerow([outcome.photo, outcome.status, outcome.detail, outcome.width, outcome.height, sizes])
    content = text.getvalue().encode(errors="backslashreplace")
    try:
        write_atomically(path, lambda file: file.write(content))
    except OSError as error:
        raise UserError(
            f"--out {path.parent}: cannot write {path.name} ({reason(error)}); mend that and call it again: finished "
            "files are kept"
        ) from error


def count_kept(outcomes: list[Outcome], sizes: tuple[int, ...]) -> dict[int, int]:
    counts = Counter(size for outcome in outcomes for size in outcome.sizes)
    return {size: counts[size] for size in sizes}


def _check_output(files: CatFiles, job: Job, left_out: frozenset[str]) -> None:
    """Makes the folders, and removes what a run left that was killed in the middle of writing."""
    candidates = {
        job.file_name(file.name) for name, found in files.photos.items() if name not in left_out for file in found
    }
    for folder in (job.out, *job.folders()):
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise UserError(f"--out {job.out}: cannot write into {folder}")
        for path in folder.iterdir():
            if path.name.startswith(".") and path.suffix == ".tmp":
                path.unlink()
            elif folder != job.out and path.name not in candidates and not is_hidden(path.name):
                raise UserError(
                    f"--out {job.out}: holds {path.relative_to(job.out)}, which this run would not make (other "
                    "--format, --keep-outliers or --source?); remove it, or choose another --out"
                )
