"""Colours and random boxes against torchvision, Pillow and plain formulas."""

import colorsys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch_weights import import_torchvision

from cnnzoo.cli.commands.training import parse_augment
from cnnzoo.data.augment import Augment
from cnnzoo.data.pixels import colours
from cnnzoo.data.transforms import apply, apply_augment, sample_params
from cnnzoo.errors import UsageError

torchvision = import_torchvision()
F = torchvision.transforms.functional
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (5, 9, 7, 3), np.uint8)
PIXELS[0, :2] = PIXELS[0, :2, :, :1]  # grey ones
FACTORS, TURNS = np.array([0.3, 0.8, 1, 1.7, 2.5]), np.array([-0.5, -0.1, 0, 0.2, 0.45])
JITTER = Augment(
    brightness_range=(0.6, 1.4),
    contrast_range=(0.5, 1.5),
    saturation_range=(0.2, 2),
    hue_range=0.3,
)
ALL = replace(JITTER, lighting=0.1, crop_scale=(0.3, 1), horizontal_flip=True)


def by_torchvision(images: np.ndarray, number: int, values: np.ndarray) -> np.ndarray:
    names = ("brightness", "contrast", "saturation", "hue")
    change = getattr(F, f"adjust_{names[number]}")
    tensors = torch.from_numpy(np.moveaxis(images.astype(np.float32) / 255, 3, 1).copy())
    pairs = zip(tensors, values.tolist(), strict=True)
    changed = torch.stack([change(*pair) for pair in pairs]).numpy()
    return 255 * np.moveaxis(changed, 1, 3)


@pytest.mark.parametrize("number", range(4))
def test_changes_are_those_of_torchvision(number: int):
    values, found = TURNS if number == 3 else FACTORS, PIXELS.astype(np.float32)
    colours.CHANGES[number](found, values)
    expected = by_torchvision(PIXELS, number, values)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
    assert np.abs(found - PIXELS).max() > 30


def test_hue_is_that_of_colorsys():
    found = PIXELS.astype(np.float32)
    colours.change_hue(found, TURNS)
    for i, y, x in np.ndindex(5, 9, 7):
        hue, saturation, value = colorsys.rgb_to_hsv(*PIXELS[i, y, x].tolist())
        expected = colorsys.hsv_to_rgb(float(hue + TURNS[i]) % 1, saturation, value)
        np.testing.assert_allclose(found[i, y, x], expected, atol=1e-3)


def test_contrast_of_grey_images():
    grey, augment = PIXELS[..., :1], Augment(contrast_range=(0.5, 1.5))
    params = sample_params(augment, grey.shape, 1, 2, 3)
    assert params.colours is not None
    expected = by_torchvision(grey, 1, params.colours[0][:, 1])
    found = apply_augment(grey, augment, 1, 2, 3)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


def test_each_image_has_an_order_of_its_own():
    found = apply_augment(PIXELS, JITTER, 1, 2, 3)
    params = sample_params(JITTER, PIXELS.shape, 1, 2, 3)
    assert params.colours is not None
    values, order = params.colours
    assert len({tuple(one) for one in order}) > 2
    for i in range(len(PIXELS)):
        image = PIXELS[i : i + 1]
        for number in order[i]:
            image = by_torchvision(image, number, values[i : i + 1, number])
        np.testing.assert_allclose(found[i], image[0], rtol=0, atol=5e-3)


def test_values_fill_their_ranges():
    params = sample_params(JITTER, (4000, 1, 1, 3), 0, 0, 0)
    assert params.colours is not None
    values, order = params.colours
    ends = [(0.6, 1.4), (0.5, 1.5), (0.2, 2), (-0.3, 0.3)]
    np.testing.assert_allclose(values.min(0), np.transpose(ends)[0], atol=1e-2)
    np.testing.assert_allclose(values.max(0), np.transpose(ends)[1], atol=1e-2)
    np.testing.assert_allclose(values.mean(0), np.mean(ends, 1), atol=0.03)
    assert len({tuple(one) for one in order}) == 24
    alone = sample_params(Augment(brightness_range=(0.6, 1.4)), (9, 1, 1, 3), 0, 0, 0)
    np.testing.assert_array_equal(alone.brightness, values[:9, 0])  # no other number


def test_lighting_is_the_papers():
    """Section 4.1: [p1, p2, p3] [a1 l1, a2 l2, a3 l3], once for a whole image."""
    many = np.zeros((20_000, 1, 1, 3), np.float32)
    added = apply_augment(many, Augment(lighting=0.1), 0, 0, 0)[:, 0, 0]
    values, vectors = np.linalg.eigh(np.cov(added.T))
    expected = 0.1 * 255 * np.array([0.0045, 0.0188, 0.2175])
    np.testing.assert_allclose(np.sqrt(values), expected, rtol=0.03)
    main = np.array([0.5675, 0.5808, 0.5836])
    assert abs(vectors[:, 2] @ main) == pytest.approx(1, abs=1e-3)
    one = np.zeros((1, 2, 2, 3), np.float32)
    colours.add_lighting(one, np.array([[0, 1.0, 0]]))
    expected = 255 * 0.0188 * np.array([0.7192, -0.0045, -0.6948])
    np.testing.assert_allclose(one, np.broadcast_to(expected, one.shape), rtol=1e-5)


def test_boxes_are_enlarged_as_by_pillow():
    images = RNG.integers(0, 256, (30, 23, 31, 3), np.uint8)
    augment = Augment(crop_scale=(0.08, 1), horizontal_flip=True)
    params = sample_params(augment, images.shape, 1, 2, 3)
    assert params.crop is not None
    found = apply(images, augment, params)
    for i, channel in np.ndindex(30, 3):
        row, column, height, width = params.crop[i]
        assert row >= 0 <= column
        assert row + height <= 23
        assert column + width <= 31
        expected = np.asarray(
            Image.fromarray(images[i, ..., channel].astype(np.float32)).resize(
                (31, 23),
                Image.Resampling.BILINEAR,
                box=(column, row, column + width, row + height),
            )
        )
        expected = expected[:, ::-1] if params.flips[i, 1] else expected
        np.testing.assert_allclose(found[i, ..., channel], expected, atol=1e-2)


def test_boxes_have_the_areas_and_proportions_of_torchvision():
    sides = (60, 90)
    augment = Augment(crop_scale=(0.2, 0.9), crop_ratio=(0.5, 3))
    boxes = sample_params(augment, (3000, *sides, 3), 0, 0, 0).crop
    assert boxes is not None
    image = torch.zeros(3, *sides)
    crop = torchvision.transforms.RandomResizedCrop
    torch.manual_seed(0)
    theirs = np.array(
        [crop.get_params(image, [0.2, 0.9], [0.5, 3.0]) for _ in range(3000)]
    )
    for number in range(4):
        bounds = np.percentile(theirs[:, number], (2, 50, 98))
        found = np.percentile(boxes[:, number], (2, 50, 98))
        np.testing.assert_allclose(found, bounds, atol=3)


@pytest.mark.parametrize(("shape", "size"), [((10, 100), (10, 13)), ((90, 1), (1, 1))])
def test_the_largest_box_where_none_fits(shape, size):
    augment = Augment(crop_scale=(0.99, 1))
    boxes = sample_params(augment, (50, *shape, 3), 0, 0, 0).crop
    assert boxes is not None
    assert {tuple(box) for box in boxes[:, 2:]} == {size}
    assert (boxes[:, :2] + boxes[:, 2:] <= shape).all()


def test_batches_are_equal_for_equal_numbers_only():
    one = apply_augment(PIXELS, ALL, 0, 1, 2)
    np.testing.assert_array_equal(one, apply_augment(PIXELS, ALL, 0, 1, 2))
    for other in ((1, 1, 2), (0, 2, 2), (0, 1, 1)):
        assert np.abs(one - apply_augment(PIXELS, ALL, *other)).max() > 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop_scale": (0.1, 1.2)}, "crop_scale=.*two shares above 0, up to 1"),
        ({"crop_scale": 0.5}, "crop_scale=0.5: expected"),
        ({"crop_ratio": (0, 1)}, "crop_ratio=.*two proportions above 0"),
        ({"contrast_range": 0.2}, "contrast_range=0.2: expected two factors"),
        ({"saturation_range": (2, 1)}, "saturation_range=.*the smaller one first"),
        ({"hue_range": 0.6}, "hue_range=0.6: expected 0 to 0.5"),
        ({"lighting": -0.1}, "lighting=-0.1: expected a number of at least 0"),
    ],
)
def test_impossible_values(options: dict[str, Any], message: str):
    with pytest.raises(UsageError, match=message):
        Augment(**options)


def test_grey_images_have_no_hue():
    several = (Augment(hue_range=0.1), Augment(saturation_range=(0, 1)))
    for augment in (*several, Augment(lighting=0.1)):
        with pytest.raises(UsageError, match="with 1 channels: expected 3, so leave"):
            apply_augment(PIXELS[..., :1], augment, 0, 0, 0)


def test_options_as_text():
    text = "crop_scale=0.08,1 hue_range=0.1 contrast_range=0.6,1.4 lighting=0.1"
    expected = Augment(
        crop_scale=(0.08, 1), hue_range=0.1, contrast_range=(0.6, 1.4), lighting=0.1
    )
    assert parse_augment(text.split()) == expected
