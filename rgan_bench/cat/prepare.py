"""Photos → aligned faces on disk. Finished files are kept, none is ever half written, no photo stops the others."""

import csv
import io
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from rgan_bench.cat.geometry import FaceCrop, face_crop, parse_landmarks
from rgan_bench.cat.source import CatFiles
from rgan_bench.errors import UserError, one_line
from rgan_bench.files import write_atomically, write_text_atomically

EXPECTED = {64: 9304, 128: 6645, 256: 2011}  # images of the paper, arXiv 1807.00734 table 3
BORDER = (128, 128, 128)
EXTENSIONS = {"png": ".png", "jpeg": ".jpg"}


@dataclass(frozen=True)
class Outcome:
    """What became of one photo.

    Attributes:
        status: kept, outlier, no annotation, bad annotation, unreadable, no area.
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


STATUSES = ("kept", "outlier", "no annotation", "bad annotation", "unreadable", "no area")


@dataclass(frozen=True)
class Job:
    """Where crops go, in which sizes and format, and how many pixels a photo may have."""

    out: Path
    sizes: tuple[int, ...]
    image_format: str
    max_pixels: int

    def path(self, photo: str, size: int) -> Path:
        return self.out / str(size) / (Path(photo).stem + EXTENSIONS[self.image_format])

    def folders(self) -> list[Path]:
        return [self.out / str(size) for size in self.sizes]


def prepare(files: CatFiles, job: Job, left_out: frozenset[str], workers: int) -> Iterator[Outcome]:
    """Crops every photo; yields as they are done, in the order of names, what became of each.

    Raises:
        UserError: the output cannot be written, or holds files that this run would not make.
    """
    _check_output(files, job, left_out)
    cv2.setNumThreads(1)  # the threads below are the parallelism
    with ThreadPoolExecutor(workers) as pool:
        try:
            yield from pool.map(lambda photo: process(photo, files, job, left_out), sorted(files.photos))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def process(photo: str, files: CatFiles, job: Job, left_out: frozenset[str]) -> Outcome:
    """One photo, from annotation to files."""
    if photo in left_out:
        return Outcome(photo, "outlier")
    annotation = files.annotations.get(photo + ".cat")
    if annotation is None:
        return Outcome(photo, "no annotation")
    try:
        landmarks = parse_landmarks(annotation().decode("ascii", errors="replace"))
    except Exception as error:  # an archive may fail in many ways; this photo's way must not stop the others
        return Outcome(photo, "bad annotation", one_line(error))
    try:
        content = files.photos[photo]()
        width, height = photo_size(content)
        if width * height > job.max_pixels:
            return Outcome(photo, "unreadable", f"{width}×{height} pixels; limits.image_pixels={job.max_pixels}")
        crop = face_crop(landmarks, width, height)
    except UnidentifiedImageError:  # its text names an object in memory
        return Outcome(photo, "unreadable", "not an image")
    except Exception as error:
        return Outcome(photo, "unreadable", one_line(error))
    if crop.shorter_side == 0:
        return Outcome(photo, "no area", f"box {crop.left},{crop.top} to {crop.right},{crop.bottom}")
    sizes = tuple(size for size in job.sizes if crop.shorter_side >= size)
    wanted = [size for size in sizes if not job.path(photo, size).exists()]
    if wanted:
        face = cut(content, crop)
        if face is None:
            return Outcome(photo, "unreadable", "does not decode", crop.width, crop.height)
        for size in wanted:
            write_image(job.path(photo, size), cv2.resize(face, (size, size), interpolation=cv2.INTER_LINEAR))
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
    """`report.csv`: a line a photo."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["photo", "status", "detail", "crop_width", "crop_height", "sizes"])
    for outcome in outcomes:
        sizes = " ".join(map(str, outcome.sizes))
        writer.writerow([outcome.photo, outcome.status, outcome.detail, outcome.width, outcome.height, sizes])
    write_text_atomically(path, text.getvalue())


def count_kept(outcomes: list[Outcome], sizes: tuple[int, ...]) -> dict[int, int]:
    counts = Counter(size for outcome in outcomes for size in outcome.sizes)
    return {size: counts[size] for size in sizes}


def _check_output(files: CatFiles, job: Job, left_out: frozenset[str]) -> None:
    candidates = {Path(photo).stem + EXTENSIONS[job.image_format] for photo in files.photos if photo not in left_out}
    for folder in job.folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--out {job.out}: cannot make {folder} ({one_line(error)})") from error
        if not os.access(folder, os.W_OK):
            raise UserError(f"--out {job.out}: cannot write into {folder}")
        for path in folder.iterdir():
            if path.suffix == ".tmp":
                path.unlink()  # of a run that was killed in the middle of writing it
            elif path.name not in candidates:
                raise UserError(
                    f"--out {job.out}: holds {path.relative_to(job.out)}, which this run would not make (other "
                    "--format, --keep-outliers or --source?); remove it, or choose another --out"
                )
