"""Files that are found in folders of images, and are no images, or odd ones.

``write_hostile_images(folder)`` writes them and returns what is to be expected of each: a piece of
the reason why it is skipped, or None where it is a good image.
"""

import io
import os
import pickle
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image


def scene(width=40, height=30):
    """Smooth colours that differ everywhere, RGB, so that each transposition of them shows."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return np.stack([220 * x, 220 * y, 110 * (1 - x) + 60 * y], 2).astype(np.uint8)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, depth=8, color=0, data=b"", before=b""):
    """A PNG that says what it likes of itself."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + before + png_chunk(b"IDAT", zlib.compress(data, 9))
    return b"\x89PNG\r\n\x1a\n" + chunks + png_chunk(b"IEND", b"")


def flipped(data, at, mask=0xFF):
    data = bytearray(data)
    data[at] ^= mask
    return bytes(data)


def gif_bomb(width, height):
    return b"GIF89a" + struct.pack("<HH", width, height) + encoded(picture("P"), "GIF")[10:]


def picture(mode, **size):
    return Image.fromarray(scene(**size)).convert(mode)


def zipped():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.png", b"")
    return buffer.getvalue()


def jpeg_of_scans(n_scans):
    """A progressive JPEG whose last scan comes again and again, as it is allowed to."""
    data = encoded(picture("RGB"), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + (n_scans - data.count(b"\xff\xda")) * last + data[-2:]


class Runs:
    """Unpickled, it would leave a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def contents(folder):
    """Name -> bytes, and a piece of the reason why they are skipped or None."""
    rgb, grey, palette = picture("RGB"), picture("L"), picture("P")
    jpg, png_file, gif = encoded(rgb, "JPEG"), encoded(rgb, "PNG"), encoded(palette, "GIF")
    bmp, tif, webp = encoded(rgb, "BMP"), encoded(rgb, "TIFF"), encoded(rgb, "WEBP")
    jp2 = encoded(rgb, "JPEG2000")
    sixteen = Image.fromarray(np.linspace(0, 65535, 1200).reshape(30, 40).astype(np.uint16))
    floats = np.linspace(0, 1, 1200, dtype=np.float32).reshape(30, 40)
    exif = Image.Exif()
    exif[0x0112] = 6
    bad_exif = b"Exif\0\0II*\0\xff\xff\xff\x7f" + 20 * b"\xff"
    broken, unknown, large = "cannot be decoded", "not an image of a known format", "67,108,864"
    return {
        # what is no image
        "empty.png": (b"", "the file is empty"),
        "text.jpg": (b"Dear user, the image is in the other folder.\n", unknown),
        "zeros.png": (bytes(10_000), unknown),
        "noise.png": (np.random.RandomState(0).bytes(10_000), unknown),
        "signature_only.png": (png_file[:8], unknown),
        "signature_only.jpg": (jpg[:3], unknown),
        "page.jpg": (b"<!doctype html><title>404</title>", unknown),
        "vector.svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', unknown),
        "program.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", unknown),
        "document.pdf": (b"%PDF-1.4\n%%EOF\n", unknown),
        "archive.png": (zipped(), unknown),
        "code.png": (pickle.dumps(Runs(folder.parent / "was_run")), unknown),
        "table.csv": (b"a,b\n1,2\n", unknown),
        # what once was an image
        "half.jpg": (jpg[: len(jpg) // 2], broken),
        "half.png": (png_file[: len(png_file) // 2], broken),
        "half.gif": (gif[: len(gif) // 2], broken),
        "half.bmp": (bmp[: len(bmp) // 2], "truncated"),
        "half.tif": (tif[: len(tif) // 2], broken),
        "half.webp": (webp[: len(webp) // 2], broken),
        "half.jp2": (jp2[: len(jp2) // 2], broken),
        "headless.jpg": (jpg[20:], unknown),
        "bad_checksum.png": (flipped(png_file, 29), unknown),
        "bad_data.png": (png(40, 30, data=b"short"), "truncated"),
        "no_data.png": (png(40, 30), "truncated"),
        # what would take too much memory
        "bomb.png": (png(30_000, 30_000), large),
        "bomb_below_pillows_limit.png": (png(9_000, 9_000, data=bytes(1_000_000)), large),
        "largest_sides.png": (png(2**31 - 1, 2**31 - 1), large),
        "bomb.gif": (gif_bomb(65_535, 65_535), large),
        "bomb.ppm": (b"P6 100000 100000 255\n" + bytes(100), large),
        "bomb.bmp": (bmp[:18] + struct.pack("<ii", 50_000, 50_000) + bmp[26:], large),
        "no_width.png": (png(0, 30), unknown),
        "bomb_in_text.png": (
            png(
                40,
                30,
                8,
                2,
                data=b"",
                before=png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(200_000_000), 9)),
            ),
            broken,
        ),
        # what would take too much time
        "scans.jpg": (jpeg_of_scans(101), "more than 100 scans"),
        # what cannot be brought to 8 bits
        "floats_to_3.tif": (encoded(Image.fromarray(3 * floats), "TIFF"), "expected 0 to 1"),
        "nan.tif": (encoded(Image.fromarray(floats * np.nan), "TIFF"), "expected 0 to 1"),
        "negative.tif": (
            encoded(Image.fromarray(np.full((30, 40), -1, np.int32)), "TIFF"),
            "expected 0 to 65535",
        ),
        # odd ones that are good
        "grey.png": (encoded(grey, "PNG"), None),
        "one_bit.png": (encoded(picture("1"), "PNG"), None),
        "palette.gif": (gif, None),
        "sixteen_bits.png": (encoded(sixteen, "PNG"), None),
        "floats.tif": (encoded(Image.fromarray(floats), "TIFF"), None),
        "alpha.png": (encoded(picture("RGBA"), "PNG"), None),
        "cmyk.jpg": (encoded(picture("CMYK"), "JPEG"), None),
        "turned.jpg": (encoded(rgb, "JPEG", exif=exif), None),
        "bad_exif.jpg": (encoded(rgb, "JPEG", exif=bad_exif), None),
        "one_pixel.png": (encoded(picture("RGB", width=1, height=1), "PNG"), None),
        "thin.png": (encoded(picture("RGB", width=5000, height=1), "PNG"), None),
        "wrong_ending.txt": (png_file, None),
        "no_ending": (webp, None),
    }


def write_hostile_images(folder):
    """Write the files, a link to nowhere and a pipe; name -> expected piece of the reason."""
    expected = {}
    for name, (content, reason) in contents(folder).items():
        (folder / name).write_bytes(content)
        expected[name] = reason
    os.symlink(folder / "nowhere", folder / "broken_link.png")
    os.mkfifo(folder / "pipe.png")
    return expected | {"broken_link.png": "gone", "pipe.png": "not a regular file"}
