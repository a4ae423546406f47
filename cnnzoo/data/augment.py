"""More training images from the ones there are."""

from dataclasses import replace

import numpy as np

from cnnzoo.data.arrays import Images


def shifted(images: Images, pixels: int) -> Images:
    """The images, and four copies of each: moved up, left, right and down.

    Args:
        pixels: how far, at least 1; what leaves the image is lost, and zeros enter.

    Returns:
        Five times as many images; the originals come first.
    """
    around = ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0))
    padded = np.pad(images.images, around)
    height, width = images.images.shape[1:3]
    corners = ((1, 1), (2, 1), (1, 2), (1, 0), (0, 1))  # of the cut, in units of `pixels`
    copies = [
        padded[:, pixels * y : pixels * y + height, pixels * x : pixels * x + width]
        for y, x in corners
    ]
    rows = np.tile(np.arange(len(images)), len(corners))
    return replace(images.take(rows), images=np.concatenate(copies))
