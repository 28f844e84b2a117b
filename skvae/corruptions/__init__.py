"""What is done to images to make anomalies of them.

Every corruption is ``f(X, strength, *, channel_axis=None, random_state=None, return_mask=False)``,
with strength 0 for no change, and `CORRUPTIONS` names them all. They share these rules:

**Images** are (n, H, W), (n, C, H, W) or (n, H, W, C). In four dimensions the axis of the channels
is the one of axis 1 and the last that is at most 4 long; where both or neither is,
``channel_axis`` (1 or -1) has to say. **Values** are uint8, where white is 255, or float32 and
float64 in [0, 1], where white is 1; what comes out has the shape, dtype and range of what went in.
**The mask** (n, H, W) is True where a pixel really changed in any channel: black pixels that are
occluded with black did not, and no score could find them.

`label_shift` changes which labels are drawn instead of the images.
"""

from skvae.corruptions._label_shift import label_shift
from skvae.corruptions._pixels import gaussian_noise, pixel_dropout, rotation
from skvae.corruptions._regions import noise_patch, patch_occlusion, stripes

__all__ = [
    "CORRUPTIONS",
    "gaussian_noise",
    "label_shift",
    "noise_patch",
    "patch_occlusion",
    "pixel_dropout",
    "rotation",
    "stripes",
]

CORRUPTIONS = {
    "gaussian_noise": gaussian_noise,
    "noise_patch": noise_patch,
    "patch_occlusion": patch_occlusion,
    "pixel_dropout": pixel_dropout,
    "rotation": rotation,
    "stripes": stripes,
}
