"""One image file → uint8 pixels of the wanted size."""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
# What a file of these names may hold, whichever of the names it has. Pillow's many other decoders stay shut.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
VERSION = 1  # goes up where the same file comes to give other pixels: what was decoded before is then not used

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # our own limit is lower, and an error


def decode(content: bytes, size: int | None, max_pixels: int) -> np.ndarray:
    """An encoded image, centre-cropped to a square and resized with antialiasing. uint8 [3, size, size].

    With size None the sides are as long as the shorter side of the image.

    Any mode becomes RGB: grey is repeated, palettes are looked up, CMYK is converted, 16-bit grey keeps its upper
    byte, transparency is laid on white. The orientation in EXIF is honoured; of an animation the first frame counts.

    Args:
        max_pixels: width × height above which a file is refused by its header, before its pixels are unpacked.

    Raises:
        OSError, ValueError, SyntaxError and others from Pillow: the content is no readable image.
    """
    with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
        width, height = opened.size
        if width * height > max_pixels:
            raise ValueError(f"{width}×{height} pixels; limits.image_pixels={max_pixels} allows fewer")
        opened.load()
        image = to_rgb(ImageOps.exif_transpose(opened))
    size = size or min(image.size)
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)
    return np.asarray(image).transpose(2, 0, 1)


def to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":
        # Pillow's own conversion clips at 255, which turns 16-bit images white.
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
