"""Makes picture.json: what Pillow, torch, diffusers and transformers make of small pictures.

Run: OMP_NUM_THREADS=1 python tests/golden/picture.py
Needs Pillow, torch, numpy, diffusers and transformers; last run with Pillow 13.0.0, torch 2.15.0, diffusers 0.35.2,
transformers 4.57.6.
"""

import io
import json
import pathlib
import struct
import zlib

import numpy as np
import torch
from diffusers.image_processor import VaeImageProcessor
from PIL import Image, ImageFilter, ImageOps
from transformers.image_transforms import normalize, rescale

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]


def picture(width, height):
    """The test picture: steep, with every byte, and alike nowhere. The tests make the same one."""
    y, x, c = np.mgrid[0:height, 0:width, 0:3]
    return ((3 * x * x + 5 * y * y + 7 * x * y + 31 * x + 17 * y + c * (41 + 13 * x)) % 256).astype(np.uint8)


def grey(width, height):
    return np.ascontiguousarray(picture(width, height)[..., 0])


def hexed(image):
    return np.asarray(image).astype(np.uint8).tobytes().hex()


def floats(values):
    return np.asarray(values, dtype="<f4").tobytes().hex()


def resizes():
    source = picture(13, 9)
    for to in [(5, 4), (15, 11), (13, 4), (7, 9), (31, 3), (1, 1)]:
        for name, number in FILTERS.items():
            rgb = Image.fromarray(source).resize(to, number)
            row = {"from": [13, 9], "to": to, "filter": name, "number": int(number), "rgb": hexed(rgb)}
            yield row
    for name, number in FILTERS.items():  # long enough for positions to be off by a rounding
        rgb = Image.fromarray(picture(201, 1)).resize((77, 1), number)
        yield {"from": [201, 1], "to": [77, 1], "filter": name, "number": int(number), "rgb": hexed(rgb)}


def fits():
    modes = {"crop": "crop", "pad": "fill", "stretch": "default"}
    processor = VaeImageProcessor(vae_scale_factor=1)
    for size, to in [((13, 9), (6, 10)), ((13, 9), (14, 6)), ((6, 7), (10, 8)), ((5, 5), (7, 7)), ((12, 3), (4, 6))]:
        for fit, mode in modes.items():
            def resized(values):
                return processor.resize(Image.fromarray(values), to[1], to[0], resize_mode=mode)
            mask = resized(grey(*size)).convert("L")
            depth = Image.fromarray(grey(*size).astype(np.float32) / np.float32(255))
            row = {"from": size, "to": to, "fit": fit, "rgb": hexed(resized(picture(*size))), "mask": hexed(mask)}
            if fit == "stretch":
                row["depth"] = floats(depth.resize(to, FILTERS["bilinear"]))
            yield row


def interpolations():
    for size, to in [((12, 9), (5, 4)), ((6, 5), (9, 11)), ((4, 4), (4, 4)), ((10, 3), (3, 10)), ((1, 1), (2, 3))]:
        depth = torch.from_numpy(grey(*size).astype(np.float32) * np.float32(0.25) - np.float32(7))[None, None]
        for mode in ["nearest", "bicubic"]:
            aligned = {"align_corners": False} if mode == "bicubic" else {}
            values = torch.nn.functional.interpolate(depth, size=to[::-1], mode=mode, **aligned)[0, 0]
            yield {"from": size, "to": to, "mode": mode, "values": floats(values)}


def normalised():
    depth = torch.from_numpy(grey(8, 8).astype(np.float32) * np.float32(0.25) - np.float32(7))
    low, high = depth.amin(), depth.amax()
    return floats(2.0 * (depth - low) / (high - low) - 1.0)


def long_nearest():
    """Where the source of a place is decided by a rounding of float32."""
    for old, new in [(512, 64), (100, 7), (1000, 999), (641, 80), (77, 1001)]:
        places = torch.arange(old, dtype=torch.float32)[None, None]
        values = torch.nn.functional.interpolate(places, size=new, mode="nearest")[0, 0]
        yield {"old": old, "new": new, "check": int((values.long() * torch.arange(1, new + 1)).sum())}


def blurs():
    mask = np.zeros((16, 20), np.uint8)
    mask[5:12, 7:18] = 255
    mask[0:3, 0:2] = 77
    for radius in [0.3, 1, 4, 7.5, 40]:
        blurred = Image.fromarray(mask).filter(ImageFilter.GaussianBlur(radius))
        yield {"radius": radius, "values": hexed(blurred)}


def regions():
    cases = [
        ([10, 20, 30, 24], 0, (64, 64), (512, 512)),
        ([10, 20, 30, 24], 7, (64, 48), (512, 768)),
        ([0, 0, 3, 40], 2, (90, 61), (768, 512)),
        ([60, 3, 64, 5], 32, (64, 64), (512, 512)),
        ([5, 5, 6, 47], 0, (20, 48), (640, 512)),
        ([1, 40, 99, 47], 3, (100, 48), (512, 640)),
        ([17, 11, 30, 22], 1, (101, 67), (8, 24)),
    ]
    for box, margin, within, wanted in cases:
        mask = np.zeros(within[::-1], np.uint8)
        mask[box[1] : box[3], box[0] : box[2]] = 255
        found = VaeImageProcessor.get_crop_region(Image.fromarray(mask), *wanted, pad=margin)
        yield {"mask": box, "margin": margin, "within": within, "wanted": wanted, "region": [int(x) for x in found]}


def composite():
    own, other = picture(16, 16), 255 - picture(16, 16)[::-1]
    mask = Image.fromarray(grey(16, 16))
    return hexed(Image.composite(Image.fromarray(np.ascontiguousarray(other)), Image.fromarray(own), mask))


def numbers():
    every = np.arange(256, dtype=np.uint8)[None, None].repeat(3, axis=0)
    rescaled = rescale(every[..., ::4], 0.00392156862745098)
    clip = normalize(rescaled, CLIP_MEAN, CLIP_STD, input_data_format="channels_first")
    vae = VaeImageProcessor(vae_scale_factor=1).preprocess(Image.fromarray(every.transpose(1, 2, 0)))
    return {"vae": floats(vae[0, 0, 0]), "clip": floats(clip), "mean": CLIP_MEAN, "std": CLIP_STD}


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def turned():
    """A picture of four flat parts, no two alike, in eight positions; then other ways of storing it."""
    quarters = np.full((8, 12, 3), 220, np.uint8)
    quarters[:4, :8], quarters[:4, 8:], quarters[4:, :8] = (200, 30, 30), (30, 180, 40), (40, 50, 190)
    for orientation in range(1, 9):
        image = Image.fromarray(quarters)
        yield f"jpeg{orientation}", saved(image.convert("L"), "JPEG", quality=90, exif=exif(orientation))
    yield "png6", saved(image, "PNG", exif=exif(6))
    yield "webp8", saved(image, "WEBP", lossless=True, exif=exif(8))
    yield "jpeg_progressive", saved(image, "JPEG", quality=90, subsampling=0, progressive=True)
    yield "jpeg_rgb6", saved(image, "JPEG", quality=90, subsampling=0, exif=exif(6))
    yield "jpeg_half_colour", saved(image, "JPEG", quality=90)
    yield "jpeg_cmyk", saved(image.convert("CMYK"), "JPEG", quality=90)
    yield "webp_lossy", saved(image, "WEBP", quality=95)


def exact():
    rgb, alpha = Image.fromarray(picture(7, 5)), Image.fromarray(grey(5, 7).T.copy())
    transparent = rgb.copy()
    transparent.putalpha(alpha)
    yield "png_rgb", saved(rgb, "PNG")
    yield "png_rgba", saved(transparent, "PNG")
    yield "png_l", saved(alpha, "PNG")
    yield "png_la", saved(transparent.convert("LA"), "PNG")
    yield "png_1", saved(alpha.convert("1"), "PNG")
    yield "png_p", saved(rgb.quantize(16), "PNG")
    yield "png_p_transparent", saved(rgb.quantize(16), "PNG", transparency=3)
    yield "png_l16", saved(Image.fromarray(sixteen()), "PNG")
    yield "webp", saved(transparent, "WEBP", lossless=True, exact=True)
    yield "bmp", saved(rgb, "BMP")
    yield "bmp_p", saved(rgb.quantize(16), "BMP")


def sixteen():
    """Grey of 16 bits, with values just above and below what is rounded up to the next byte."""
    return (np.arange(35, dtype=np.uint32) * 1893 + 128).astype(np.uint16).reshape(5, 7)


def png16(channels):
    """Colour of 16 bits, which Pillow cannot write."""
    values = np.stack([np.roll(sixteen(), 5 * channel, axis=1) for channel in range(channels)], axis=-1)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", 7, 5, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    framed = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed), values.astype(np.float64)


def on_white(rgb, alpha, white):
    """As bytes, rounded once; there are no halves, for the divisors are odd."""
    return np.rint((rgb * alpha + white * (white - alpha)) / (white * white / 255.0))


def files():
    for name, file in [*turned(), *exact()]:
        lossy = name.startswith("jpeg") or name == "webp_lossy"
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(file)))
        if image.mode == "I;16":
            rgb, grey_values = np.rint(sixteen() / 257.0)[..., None].repeat(3, -1), sixteen() / 65535.0
        else:
            rgba = np.asarray(image.convert("RGBA")).astype(np.float64)
            rgb = on_white(rgba[..., :3], rgba[..., 3:], 255.0)
            grey_values = rgba[..., :3] @ [299, 587, 114] / 1000 / 255
            assert np.abs(grey_values * 255 - np.asarray(image.convert("RGB").convert("L"))).max() < 0.51
        yield file_row(name, file, rgb, None if lossy else grey_values)
    for name, channels in [("png_rgb16", 3), ("png_rgba16", 4)]:
        file, values = png16(channels)
        alpha = values[..., 3:] if channels == 4 else np.full_like(values[..., :1], 65535.0)
        luma = values[..., :3] @ [299, 587, 114] / 1000 / 65535
        yield file_row(name, file, on_white(values[..., :3], alpha, 65535.0), luma)


def file_row(name, file, rgb, grey_values):
    size = [rgb.shape[1], rgb.shape[0]]
    grey_values = None if grey_values is None else floats(grey_values)
    return {"name": name, "file": file.hex(), "size": size, "rgb": hexed(rgb), "gray": grey_values}


def main():
    golden = {
        "resizes": list(resizes()),
        "fits": list(fits()),
        "interpolations": list(interpolations()),
        "normalised": normalised(),
        "long_nearest": list(long_nearest()),
        "blurs": list(blurs()),
        "regions": list(regions()),
        "composite": composite(),
        "numbers": numbers(),
        "files": list(files()),
    }
    lines = []
    for key, value in golden.items():
        rows = value if isinstance(value, list) else [value]
        text = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
        lines.append(f'"{key}":' + (f"[\n{text}\n]" if isinstance(value, list) else text))
    pathlib.Path(__file__).with_name("picture.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
