"""Where the face is: nine landmarks → a rotation and a box. Pure arithmetic, no pixels.

Source: the preparation of arXiv 1807.00734 (table 3). Landmarks are a flat list of 18 numbers, x and y of the left eye,
the right eye, the mouth, three points of the left ear and three of the right.

Sums and products stand in the order of the author's script: a corner is cut off to a whole pixel, and where it lies on
one, the last bit decides which.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

NUM_POINTS = 9


@dataclass(frozen=True)
class FaceCrop:
    """A turn about a point, then a box.

    Attributes:
        centre: (x, y) between the eyes, about which the photo is turned.
        degrees: counter-clockwise, as cv2.getRotationMatrix2D takes them; levels the eyes.
        left, top, right, bottom: of the box in the turned photo, right and bottom exclusive. Within the photo.
    """

    centre: tuple[float, float]
    degrees: float
    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return max(0, self.right - self.left)

    @property
    def height(self) -> int:
        return max(0, self.bottom - self.top)

    @property
    def shorter_side(self) -> int:
        return min(self.width, self.height)


def face_crop(landmarks: Sequence[float], photo_width: int, photo_height: int) -> FaceCrop:
    """The crop of a face.

    The photo is turned about the middle of the eyes until they are level. The side of the square is the distance in x
    of the outer bases of the ears after the turn, with the eyes' middle at (0.5, 0.4) of it. What sticks out of the
    photo is cut off, so the box need not be square, and may have no area.

    Raises:
        ValueError: not 18 numbers.
    """
    if len(landmarks) != 2 * NUM_POINTS:
        raise ValueError(f"{len(landmarks)} coordinates where {2 * NUM_POINTS} belong")
    left_eye, right_eye, mouth = landmarks[0:2], landmarks[2:4], landmarks[4:6]
    if left_eye[0] > right_eye[0] and left_eye[1] < right_eye[1] and mouth[0] > right_eye[0]:
        left_eye, right_eye = right_eye, left_eye  # a face turned so far that the labels changed sides
    centre = ((left_eye[0] + right_eye[0]) / 2, (left_eye[1] + right_eye[1]) / 2)
    angle = math.atan2(right_eye[1] - left_eye[1], right_eye[0] - left_eye[0])

    first_ear, last_ear = (turned_x(landmarks[2 * point : 2 * point + 2], centre, angle) for point in (3, 8))
    side = abs(last_ear - first_ear)
    left, top = centre[0] - side / 2, centre[1] - side * 2 / 5
    right, bottom = left + side, top + side
    return FaceCrop(
        centre=centre,
        degrees=angle * 180 / math.pi,
        left=int(max(left, 0)),
        top=int(max(top, 0)),
        right=min(int(right), photo_width),
        bottom=min(int(bottom), photo_height),
    )


def turned_x(point: Sequence[float], centre: tuple[float, float], angle: float) -> float:
    """x of a point after the turn that levels a line of this angle (radians, y pointing down)."""
    x, y = point[0] - centre[0], point[1] - centre[1]
    return x * math.cos(angle) + y * math.sin(angle) + centre[0]


def parse_landmarks(text: str) -> list[float]:
    """The content of a `.cat` file: the number 9, then x and y of nine points.

    Raises:
        ValueError: anything else; the message says what.
    """
    words = text.split()
    if not words:
        raise ValueError("empty")
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        raise ValueError("holds text where numbers belong") from None
    if not all(map(math.isfinite, numbers)):
        raise ValueError("holds numbers that are not finite")
    if numbers[0] != NUM_POINTS or len(numbers) != 1 + 2 * NUM_POINTS:
        raise ValueError(f"announces {numbers[0]:g} points and holds {len(numbers) - 1} coordinates; 9 and 18 belong")
    return numbers[1:]
