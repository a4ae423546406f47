"""Folders of photographs with everything in them: rows I01 to I21 and L01 to L07.

The ids are those of the project's list of failures; each row is a test or a part of one.
"""

import json
import os
import socket
import subprocess
import sys
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path

import keras
import numpy as np
import pytest
from picture_files import BAD, every_form, packed, picture, wrong_animation
from PIL import Image

import cnnzoo
from cnnzoo.cli.main import main
from cnnzoo.data import batches as batching, decode as decoding
from cnnzoo.data.arrays import Images
from cnnzoo.data.batches import Batches
from cnnzoo.data.decode import decode
from cnnzoo.data.folders import training_files
from cnnzoo.data.folders.folder import Folder, scan
from cnnzoo.data.pipeline import load_images
from cnnzoo.data.sources import open_train_validation, split_folds
from cnnzoo.data.splits import split_rows
from cnnzoo.errors import DatasetError, ImageDecodeError, LabelError, UsageError
from cnnzoo.evaluation import evaluate_probabilities
from cnnzoo.inference import probabilities
from cnnzoo.train.recipe import Recipe
from cnnzoo.train.run import Run
from cnnzoo.visualization import figures

SIZE = (12, 12)


def fill(root: Path, counts: dict[str, int]) -> Path:
    """Class folders with so many images each, all different."""
    seed = 0
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            image = picture(12, seed)
            (root / name / f"{number}.png").write_bytes(packed(image, "PNG"))
            seed += 1
    return root


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return fill(tmp_path / "photos", {"ants": 6, "bees": 6})


def network(classes: int = 2) -> keras.Model:
    keras.utils.set_random_seed(0)
    return cnnzoo.build(
        "mlp",
        input_shape=(*SIZE, 3),
        classes=classes,
        depth=1,
        width=8,
        include_preprocessing=True,
    )


# Files that are no images ---------------------------------------------------------------


@pytest.mark.parametrize("kind", BAD)
def test_i01_i02_i03_a_bad_file_is_named_before_training(kind: str, photos: Path):
    bad = photos / "bees" / "bad.png"
    bad.write_bytes(BAD[kind]())
    with pytest.raises(
        ImageDecodeError, match=r"1 files that cannot.*'bees/bad\.png' \("
    ):
        scan(photos, depth="pixels")
    with pytest.raises(ImageDecodeError, match=r"cannot decode .*bad\.png: .*, found ."):
        decode(bad, None, 3)
    folder = scan(photos, depth="pixels", on_bad="skip")
    assert len(folder) == 12
    ((name, reason),) = folder.report.skipped
    assert name == "bees/bad.png"
    assert reason


@pytest.mark.parametrize("kind", sorted(set(BAD) - {"wrong checksum"}))
def test_headers_alone_find_all_but_damage_in_between(kind: str, photos: Path):
    (photos / "bees" / "bad.jpg").write_bytes(BAD[kind]())
    assert len(scan(photos, on_bad="skip").report.skipped) == 1


def test_s02_ten_thousand_images_and_a_hundred_bad_ones(tmp_path: Path):
    """Exactly the valid files are used, and every invalid one is named."""
    bad: set[str] = set()
    for number in range(10_000):
        folder = tmp_path / "photos" / "abcd"[number % 4]
        folder.mkdir(parents=True, exist_ok=True)
        kind = list(BAD)[number // 100 % 10]
        if number % 100 == 37:
            (folder / f"{number}.png").write_bytes(BAD[kind]())
            bad.add(f"{folder.name}/{number}.png")
        else:
            pixels = np.full((6, 6), number % 251, np.uint8)
            content = packed(Image.fromarray(pixels), "PNG", compress_level=1)
            (folder / f"{number}.png").write_bytes(content)
    folder = scan(tmp_path / "photos", depth="pixels", on_bad="skip")
    assert {name for name, _ in folder.report.skipped} == bad
    assert len(bad) == 100
    assert len(folder) == 9_900
    train, validation = folder.split(0.1, seed=0)
    assert not bad & {*train.names, *validation.names}
    history = Run(tmp_path / "run").fit(network(4), train, validation, Recipe(epochs=1))
    assert len(history["loss"]) == 1
    card = json.loads((tmp_path / "run" / "run.json").read_text())
    assert card["data"]["train"]["images"] + card["data"]["validation"]["images"] == 9_900


def test_i18_a_file_that_changes_after_the_scan(photos: Path, tmp_path: Path):
    folder = scan(photos, depth="pixels")
    folder.paths[3].write_bytes(b"gone bad")
    with pytest.raises(ImageDecodeError, match=r"ants/3\.png"):
        Run(tmp_path / "run").fit(network(), folder, folder, Recipe(epochs=1))
    folder.paths[3].unlink()
    with pytest.raises(ImageDecodeError, match=r"ants/3\.png.*no regular file"):
        Run(tmp_path / "run2").fit(network(), folder, folder, Recipe(epochs=1))


# One rule everywhere --------------------------------------------------------------------


def test_i04_i05_i06_i07_every_path_gives_the_same_array(tmp_path: Path):
    """Training, evaluation, prediction of files, and `decode`: difference 0."""
    forms = dict(every_form())
    assert len(forms) >= 40
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
    for number, (name, content) in enumerate(forms.items()):
        (tmp_path / "photos" / "ab"[number % 2] / name).write_bytes(content)
    folder = scan(tmp_path / "photos", depth="pixels")
    assert len(folder) == len(forms)
    alone = np.stack([decode(path, SIZE, 3) for path in folder.paths])
    np.testing.assert_array_equal(load_images(folder, (*SIZE, 3)).images, alone)
    batches = Batches(folder, (*SIZE, 3), 5, shuffle=True, seed=1)
    order = np.concatenate([batches[i][0] for i in range(len(batches))])
    np.testing.assert_array_equal(order, alone[batches._order])
    model = network()
    expected = probabilities(model, alone)
    np.testing.assert_array_equal(probabilities(model, folder), expected)
    np.testing.assert_array_equal(probabilities(model, folder.paths), expected)


def test_a_picture_in_lab_is_read_as_grey_too(tmp_path: Path):
    """Files checked with one number of channels are read with another."""
    (tmp_path / "lab.tif").write_bytes(packed(picture().convert("LAB"), "TIFF"))
    grey, colour = (decode(tmp_path / "lab.tif", SIZE, c) for c in (1, 3))
    assert np.abs(grey[..., 0] - colour @ [0.299, 0.587, 0.114]).max() < 2


def test_i08_i09_i10_misleading_names(photos: Path):
    (photos / "ants" / "x.jpg").write_bytes(packed(picture(), "PNG"))
    for name in ("a.heic", "b.avif", "c.heic", "notes.txt"):
        (photos / "bees" / name).write_bytes(b"x")
    for name in ("._0.png", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (photos / "bees" / name).write_bytes(b"x")
    found = scan(photos).report
    assert found.misnamed == ("ants/x.jpg",)
    assert found.ignored == {".avif": 1, ".heic": 2, ".txt": 1}
    assert found.hidden == 4
    assert found.formats == {"PNG": 13}
    assert found.sizes == ((12, 12), (24, 24))


def test_a_jpeg_is_decoded_at_less_than_its_size_alike_everywhere(tmp_path: Path):
    """The size that was requested needs only an eighth of the pixels."""
    path = tmp_path / "a.jpg"
    path.write_bytes(packed(picture(800), "JPEG", quality=95))
    with Image.open(path) as image:
        whole = image.resize((32, 32), Image.Resampling.BILINEAR)
    assert np.abs(decode(path, (32, 32), 3) - np.asarray(whole, int)).mean() < 2


# Things that are no files, links, names -------------------------------------------------


@pytest.mark.parametrize("on_bad", ["raise", "skip"])
def test_i11_nothing_but_regular_files_is_opened(on_bad, photos: Path):
    os.mkfifo(photos / "ants" / "pipe.png")
    (photos / "ants" / "gone.png").symlink_to(photos / "nowhere.png")
    (photos / "ants" / "device.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        place = os.getcwd()
        os.chdir(photos / "bees")  # a socket's address is short
        try:
            server.bind("s.png")
        finally:
            os.chdir(place)
        if on_bad == "raise":
            with pytest.raises(ImageDecodeError, match="4 files that cannot be read"):
                scan(photos)
            return
        folder = scan(photos, on_bad="skip", follow_links=True)
    assert len(folder) == 12
    assert dict(folder.report.skipped) == {
        "ants/pipe.png": "no regular file",
        "ants/gone.png": "a link to nothing",
        "ants/device.png": "no regular file",
        "bees/s.png": "no regular file",
    }


def test_i11_a_file_that_may_not_be_read(photos: Path, monkeypatch):
    real = open

    def refusing(path, *args, **options):
        if str(path).endswith("ants/2.png"):
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **options)

    monkeypatch.setattr("builtins.open", refusing)
    found = scan(photos, on_bad="skip").report.skipped
    assert [name for name, _ in found] == ["ants/2.png"]
    assert "Permission denied" in found[0][1]


def test_i12_links_are_followed_once(photos: Path, tmp_path: Path):
    fill(tmp_path / "pool", {"x": 3})
    (photos / "ants" / "loop").symlink_to(photos)
    (photos / "ants" / "again.png").symlink_to(photos / "bees" / "0.png")
    (photos / "bees" / "out").symlink_to(tmp_path / "pool" / "x")
    (photos / "bees" / "twice").symlink_to(tmp_path / "pool" / "x")
    folder = scan(photos, on_bad="skip")
    assert len(folder) == 12
    assert folder.report.linked == ("ants/again.png", "ants/loop")
    refused = [name for name, _ in folder.report.skipped]
    assert refused == ["bees/out", "bees/twice"]
    with pytest.raises(ImageDecodeError, match=r"a link out of the folder: follow_links"):
        scan(photos)
    followed = scan(photos, follow_links=True)
    assert len(followed) == 15
    assert "bees/out/2.png" in followed.names
    assert followed.report.linked == ("ants/again.png", "ants/loop", "bees/twice")


def test_i12_links_within_the_folder(photos: Path):
    """Links to outside of the folder, in a cycle, and twice to the same folder."""
    (photos / ".pool").mkdir()
    for number in range(3):
        content = packed(picture(12, 50 + number), "PNG")
        (photos / ".pool" / f"{number}.png").write_bytes(content)
    (photos / "ants" / "hidden.png").symlink_to(photos / ".pool" / "0.png")
    (photos / "bees" / "pool").symlink_to(photos / ".pool")
    (photos / "bees" / "circle.png").symlink_to(photos / "bees" / "circle.png")
    folder = scan(photos, on_bad="skip")
    assert "ants/hidden.png" in folder.names
    assert [name for name in folder.names if "pool" in name] == [
        "bees/pool/1.png",
        "bees/pool/2.png",
    ]
    assert folder.report.linked == ("bees/pool/0.png",)
    assert [name for name, _ in folder.report.skipped] == ["bees/circle.png"]


def test_folders_a_thousand_deep(photos: Path):
    deep = [photos.joinpath("ants", *["d"] * depth) for depth in range(1, 1101)]
    for folder in deep:
        folder.mkdir()
    try:
        with pytest.raises(DatasetError, match="a thousand deep"):
            scan(photos)
    finally:  # pytest's own clean-up recurses, and would end the whole run
        for folder in reversed(deep):
            folder.rmdir()


def test_i13_names_that_a_terminal_cannot_show(photos: Path):
    name = os.fsdecode(b"\xff") + "$_$"
    (photos / "bees").rename(photos / name)
    (photos / name / (name + ".png")).write_bytes(b"bad")
    done = subprocess.run(
        [sys.executable, "-m", "cnnzoo", "check", str(photos)],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
    )
    assert done.returncode == 1
    assert rb"\udcff$_$" in done.stdout
    labels = np.array([0, 1])
    pixels = Images(np.zeros((2, 4, 4, 1), np.uint8), labels, ("a", name))
    wrong = evaluate_probabilities(np.eye(2)[::-1], labels, pixels.class_names)
    assert figures.confusion(wrong).startswith(b"\x89PNG")
    assert figures.misclassified(pixels, wrong).startswith(b"\x89PNG")


def test_i13_odd_names(photos: Path):
    names = [
        "ü😀",
        "a b ",
        "new\nline",
        os.fsdecode(b"\xff\xfe"),
        "con",
        "‏rtl",
        "n" * 251,
    ]
    for name in names:
        (photos / "ants" / f"{name}.png").write_bytes(packed(picture(), "PNG"))
    folder = scan(photos, depth="pixels", checksums=True)
    assert len(folder) == 12 + len(names)
    (photos / "ants" / (os.fsdecode(b"\xfd") + ".png")).write_bytes(b"bad")
    with pytest.raises(ImageDecodeError, match=r"'ants/\\udcfd\.png'"):
        scan(photos)


# Layout ---------------------------------------------------------------------------------


def test_i14_i15_layouts_that_are_no_class_folders(tmp_path: Path):
    flat = fill(tmp_path / "flat", {".": 3})
    rows: list[tuple[Path, str]] = [
        (tmp_path / "missing", "expected a folder, found nothing"),
        (flat, "found 0 such folders and 3 images beside them"),
        (fill(tmp_path / "one", {"ants": 3}), "at least two, found 1 such folders"),
        (fill(tmp_path / "empty", {"a": 3, "b": 0}), "b as .*none that can be used"),
        (fill(tmp_path / "high", {"train": 3, "test": 3}), "named like parts of a set"),
    ]
    for root, message in rows:
        with pytest.raises(DatasetError, match=message):
            scan(root)


def test_i16_suspicious_folders_give_warnings(tmp_path: Path):
    numbers = fill(tmp_path / "n", {"0": 1, "1": 1, "2": 1, "10": 20})
    messages = scan(numbers).report.warnings
    assert messages[0] == "classes are in text order: 0, 1, 10, 2"
    assert messages[1] == "classes have between 1 and 20 images"
    alike = fill(tmp_path / "c", {"Caf\u00e9": 1, "cafe\u0301": 1, "tea": 1})
    (warning,) = scan(alike).report.warnings
    assert warning.startswith("classes whose names are the same to a reader: ")


# Splits ---------------------------------------------------------------------------------


def test_i17_a_split_without_a_class(photos: Path):
    for number in range(1, 6):
        (photos / "ants" / f"{number}.png").unlink()
    with pytest.raises(DatasetError, match="class 'ants': expected at least 2"):
        scan(photos).split(0.5, seed=0)


def test_i20_copies_stay_together(photos: Path):
    for number in range(6):
        content = (photos / "ants" / f"{number}.png").read_bytes()
        (photos / "ants" / f"copy{number}.png").write_bytes(content)
    folder = scan(photos, checksums=True)
    assert folder.report.copies is not None
    assert len(folder.report.copies) == 6
    for seed in range(10):
        train, validation = folder.split(0.3, seed=seed)
        assert not {*(train.checksums or ())} & {*(validation.checksums or ())}
        assert len(train) + len(validation) == 18


def test_copies_change_neither_the_split_nor_its_time():
    labels = np.arange(2000) % 4
    groups = np.arange(2000)
    groups[8] = groups[0]
    for share in (0.02, 0.4, 0.7, 100):
        parts = split_rows(labels, tuple("abcd"), share, 0, groups)
        wanted = share if share > 1 else share * 2000
        assert abs(len(parts[1]) - wanted) <= 2
        assert sorted(np.concatenate(parts)) == list(range(2000))
        assert (0 in parts[0]) == (8 in parts[0])


def test_folds_keep_copies_and_groups_together(photos: Path):
    for path in list(photos.rglob("*.png")):
        path.with_name(f"copy{path.name}").write_bytes(path.read_bytes())
    folder = scan(photos, checksums=True)
    assert folder.checksums
    for train, test in split_folds(folder, 3, 0):
        sums = [{folder.checksums[row] for row in rows} for rows in (train, test)]
        assert not sums[0] & sums[1]
    apart = scan(photos)
    pattern = r"[a-z]+/(?:copy)?(\d+)"
    parts = list(split_folds(apart, 3, 0, pattern))
    assert sorted(np.concatenate([test for _, test in parts])) == list(range(24))
    for train, test in parts:
        one, other = (
            {name[-5] for name in apart.take(rows).names} for rows in (train, test)
        )
        assert not one & other
    with pytest.raises(UsageError, match="expected a folder of image files"):
        next(split_folds(load_images(apart, (*SIZE, 3)), 3, 0, "x"))


def test_groups_in_both_predefined_splits_are_refused(tmp_path: Path):
    fill(tmp_path / "train", {"a": 2, "b": 2})
    fill(tmp_path / "val", {"a": 3, "b": 2})
    with pytest.raises(DatasetError, match=r"4 groups are in .*such as 'a/0'"):
        open_train_validation(str(tmp_path), group_by=r"./\d", allow_copies=True)
    with pytest.raises(UsageError, match="a table of labels is for a folder without"):
        open_train_validation(str(tmp_path), labels="x.csv")


def test_i20_predefined_splits_that_share_images_are_refused(tmp_path: Path, capsys):
    fill(tmp_path / "set" / "train", {"a": 4, "b": 4})
    val = fill(tmp_path / "set" / "val", {"a": 4, "b": 4})  # the same pictures
    root = str(tmp_path / "set")
    with pytest.raises(DatasetError, match=r"8 images of .*val are copies of images in"):
        open_train_validation(root)
    assert main(["check", root]) == 1
    assert "8 images of" in capsys.readouterr().out
    train, validation = open_train_validation(root, allow_copies=True)
    assert isinstance(train, Folder)
    assert isinstance(validation, Folder)
    assert (train.root, validation.root) == (tmp_path / "set" / "train", val)
    for path in val.rglob("*.png"):
        seed = 100 + 10 * ord(path.parent.name) + int(path.stem)
        path.write_bytes(packed(picture(12, seed), "PNG"))
    assert len(open_train_validation(root)[1]) == 8
    again = (val / "a" / "0.png").read_bytes()
    (val / "b" / "0.png").write_bytes(again)
    (warning,) = scan(val, checksums=True).report.warnings
    expected = "1 pictures are in more than one class, such as 'a/0.png' = 'b/0.png'"
    assert warning == expected


def test_groups_stay_together(photos: Path):
    for path in list(photos.rglob("*.png")):
        path.rename(path.with_name(f"patient{int(path.stem) // 2}_{path.name}"))
    folder = scan(photos)
    for seed in range(10):
        parts = folder.split(0.34, seed, r"[a-z]+/patient\d+")
        groups = [{name.rpartition("_")[0] for name in part.names} for part in parts]
        assert not groups[0] & groups[1]
        assert [len(part) for part in parts] == [6, 6]  # 3 of 6 groups, rounded up
    with pytest.raises(UsageError, match=r"finds nothing in 'ants/patient0_0\.png'"):
        folder.split(0.3, 0, "doctor")
    with pytest.raises(UsageError, match="expected a regular expression"):
        folder.split(0.3, 0, "(")


# Labels ---------------------------------------------------------------------------------


def labelled(root: Path, text: str) -> Folder:
    (root / "labels.csv").write_bytes(text.encode())
    return scan(root, labels=root / "labels.csv")


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    return fill(tmp_path / "flat", {".": 3})


@pytest.mark.parametrize(
    "text",
    [
        "file,label\n0.png,x\n1.png,y\n2.png,x\n",
        '\ufefffile,label\r\n"0.png","x"\r\n1.png,y\r\n2.png,x\r\n',
        "0,x\n1,y\n2,x\n",
        "label;filename\nx;0\ny;1\nx;2.png\n",
        "image_id\tsex\tBreed\n0\tm\tx\n1\t\ty\n2\tf\tx\n",
        "filename,label,width\n./0.png,x,24\nflat/../1.png,y,24\n.\\2.png,x,24\n",
    ],
    ids=[
        *("plain", "mark, quotes and CRLF", "without endings and header"),
        *("semicolons", "tabs and extra columns", "other spellings of paths"),
    ],
)
def test_l02_labels_from_a_table(text: str, flat: Path):
    folder = labelled(flat, text)
    assert folder.class_names == ("x", "y")
    assert dict(zip(folder.names, np.asarray(folder.labels).tolist(), strict=True)) == {
        "0.png": 0,
        "2.png": 0,
        "1.png": 1,
    }


def test_l02_paths_in_a_table_beside_the_folder(tmp_path: Path):
    root = fill(tmp_path / "photos", {"a": 2, "b/c": 1})
    names = [f"a/{n}.png" for n in range(2)] + ["b/c/0.png"]
    table = tmp_path / "labels.csv"
    for paths in (
        [f"photos/{name}" for name in names],
        [f"{root}/{name}" for name in names],
        [f"photos\\{name[:-4]}".replace("/", "\\") for name in names],
        [names[0], "1.png", names[2]],
    ):
        rows = zip(paths, "xyx", strict=True)
        table.write_text("path,class,extra\n" + "".join(f"{p},{c},\n" for p, c in rows))
        folder = scan(root, labels=table)
        assert dict(
            zip(folder.names, (np.asarray(folder.labels) == 1).tolist(), strict=True)
        ) == {
            names[0]: False,
            names[1]: True,
            names[2]: False,
        }
    table.write_text("path,class\n0.png,x\n1.png,y\n")
    with pytest.raises(LabelError, match=r"not in the folder, such as '0\.png'"):
        scan(root, labels=table)  # there are two of this name
    table.write_text("path,colour,class\na/0.png,x\n")
    with pytest.raises(LabelError, match=r"3 columns, as in the first line, found 2 on"):
        scan(root, labels=table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.png,x\n1.png,y\n", r"1 files of the folder that it does not name.*'2\.png'"),
        ("0,x\n1,y\n2,x\n9,x\n", "1 files that are not in the folder, such as '9'"),
        ("0,x\n1,y\n2,x\n2,y\n", "1 files that stand there twice, such as '2'"),
        ("0,x\n1,\n2,x\n", "a class for each file, found none on line 2, '1'"),
        ("0,x\n1,NaN\n2,x\n", "a class for each file, found none on line 2"),
        (
            "0,x,1\n",
            "two columns, file and class, or a header that names them, found 3 on line 1",
        ),
        ("9.png,x\n0,x\n1,y\n2,x\n", "1 files that are not in the folder"),
    ],
)
def test_l01_l02_labels_that_do_not_match_the_images(text, message, flat: Path):
    with pytest.raises(LabelError, match=message):
        labelled(flat, text)
    with pytest.raises(LabelError, match="found no regular file"):
        scan(flat, labels=flat / "nowhere.csv")


def test_a_table_of_some_images(flat: Path, capsys):
    text = "file,label\n0.png,x\n1.png,y\n7.png,x\n8.png,y\n"
    with pytest.raises(LabelError, match=r"2 files that are not in .*, or pass partial"):
        labelled(flat, text)
    folder = scan(flat, labels=flat / "labels.csv", partial=True)
    assert folder.names == ("0.png", "1.png")
    missing, unnamed = (line for line in folder.report_lines() if "left out" in line)
    assert "2 files that are not in the folder are left out, by " in missing
    assert "1 files of the folder that it does not name are left out" in unnamed
    options = ["--labels", str(flat / "labels.csv")]
    assert main(["check", str(flat), *options, "--partial"]) == 0
    assert "1 files of the folder that it does not name" in capsys.readouterr().out
    labelled_twice = text + "1.png,x\n"
    (flat / "labels.csv").write_text(labelled_twice)
    with pytest.raises(LabelError, match="1 files that stand there twice"):
        scan(flat, labels=flat / "labels.csv", partial=True)
    with pytest.raises(UsageError, match=r"partial \(--partial\) is for a table"):
        scan(flat, partial=True)


# Guards ---------------------------------------------------------------------------------


def test_l05_a_nan_loss_names_the_images(photos: Path, tmp_path: Path):
    folder = scan(photos)
    recipe = Recipe(epochs=3, batch_size=4, optimizer="sgd", learning_rate=1e25)
    with pytest.raises(cnnzoo.TrainingError) as caught:
        Run(tmp_path / "run").fit(network(), folder, folder, recipe)
    message = str(caught.value)
    assert "the loss became NaN or infinite in batch " in message
    assert "of epoch 1, at the learning rate 1e+25, on " in message
    assert ".png" in message
    assert len(message) <= 1000


# Command line ---------------------------------------------------------------------------


def test_check(photos: Path, capsys):
    assert main(["check", str(photos)]) == 0
    assert "12 images that can be read" in capsys.readouterr().out
    (photos / "bees" / "odd.gif").write_bytes(BAD["html"]())
    (photos / "bees" / "a.heic").write_bytes(b"x")
    assert main(["check", str(photos)]) == 1
    text = capsys.readouterr().out
    assert "left out:\n  'bees/odd.gif': content in none of these formats" in text
    assert "ignored extensions" in text
    assert main(["check", str(photos), "--json"]) == 1
    every = json.loads(capsys.readouterr().out)
    assert every["faults"] == []
    (record,) = every["folders"].values()
    assert record["skipped"] == [["bees/odd.gif", "content in none of these formats"]]
    assert record["classes"] == {"ants": 6, "bees": 6}


def test_train_names_bad_files_before_anything_else(photos: Path, tmp_path: Path, capsys):
    (photos / "bees" / "odd.png").write_bytes(BAD["wrong checksum"]())
    out = tmp_path / "run"
    args = ["train", str(photos), "--model", "mlp", "--size", "12", "--epochs", "1"]
    args += ["--out", str(out), "--validation", "0.5"]
    assert main(args) == 1
    assert "'bees/odd.png' (" in capsys.readouterr().err
    assert not out.exists()
    assert main([*args, "--on-bad", "skip"]) == 0
    captured = capsys.readouterr()
    assert "left out: 'bees/odd.png': " in captured.err
    assert "6 training images, 6 validation images" in captured.out
    assert main([*args, "--on-bad", "skip"]) == 0  # headers do not tell that it is bad
    assert "nothing was trained" in capsys.readouterr().out


@pytest.mark.parametrize("number", [0, 1])
def test_predefined_splits_are_used(number: int, tmp_path: Path, capsys):
    root = tmp_path / "set"
    fill(root / "train", {"a": 5, "b": 5})
    for i, part in enumerate(("val", "test")[: 1 + number], start=1):
        for name in ("a", "b"):
            (root / part / name).mkdir(parents=True)
            content = packed(picture(12, 100 * i + ord(name)), "PNG")
            (root / part / name / "1.png").write_bytes(content)
    out = str(tmp_path / "run")
    args = ["--model", "mlp", "--size", "12", "--epochs", "1", "--out", out]
    assert main(["train", str(root), *args]) == 0
    assert "10 training images, 2 validation images" in capsys.readouterr().out
    assert main(["evaluate", str(root), "--model", out]) == 0
    assert "of 2 images" in capsys.readouterr().out


def test_predict_marks_training_images(photos: Path, tmp_path: Path, capsys):
    out = str(tmp_path / "run")
    args = ["--model", "mlp", "--size", "12", "--epochs", "1", "--out", out]
    assert main(["train", str(photos), *args, "--validation", "0.5"]) == 0
    listed_names = (tmp_path / "run" / training_files.FILE).read_text().split()
    assert len(listed_names) == 6
    capsys.readouterr()
    paths = [str(path) for path in sorted(photos.rglob("*.png"))]
    assert main(["predict", *paths, "--model", out, "--json"]) == 0
    predictions = json.loads(capsys.readouterr().out)
    assert sum(p["in_training"] for p in predictions) == 6
    copy = tmp_path / "another name.png"
    copy.write_bytes(
        Path(next(p["path"] for p in predictions if p["in_training"])).read_bytes()
    )
    assert main(["predict", str(copy), "--model", out]) == 0
    assert capsys.readouterr().out.endswith(" (a training image)\n")


def test_predict_names_all_files_that_it_cannot_read(
    photos: Path, tmp_path: Path, capsys
):
    cnnzoo.save(network(), tmp_path / "model.keras")
    good = str(photos / "ants" / "0.png")
    bad = [str(tmp_path / "missing.png"), str(tmp_path / "text.png")]
    Path(bad[1]).write_bytes(BAD["text"]())
    args = ["--model", str(tmp_path / "model.keras")]
    assert main(["predict", good, *bad, *args]) == 1
    captured = capsys.readouterr()
    assert all(repr(path) in captured.err for path in bad)
    assert not captured.out
    assert main(["predict", *bad, good, *args, "--on-bad", "skip", "--json"]) == 0
    captured = capsys.readouterr()
    assert [p["path"] for p in json.loads(captured.out)] == [good]
    assert [
        line.startswith(f"left out {path!r}: ")
        for line, path in zip(captured.err.splitlines(), bad, strict=True)
    ] == [True, True]
    assert main(["predict", *bad, *args, "--on-bad", "skip"]) == 1
    assert "2 of 2 files cannot be read as images" in capsys.readouterr().err
    links = tmp_path / "links"
    links.mkdir()
    (links / "0.png").symlink_to(good)
    (links / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert main(["predict", str(links), *args]) == 1
    assert "'gone.png' (a link to nothing)" in capsys.readouterr().err
    assert main(["predict", str(links), *args, "--on-bad", "skip"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{links}/0.png: ")
    assert f"left out '{links}/gone.png': no regular file" in captured.err


def test_i07_warnings_of_the_decoder_name_the_file(photos: Path, capsys):
    (photos / "bees" / "odd.png").write_bytes(wrong_animation())
    with warnings.catch_warnings(record=True) as loose:
        warnings.simplefilter("always")
        folder = scan(photos)
        warnings.warn("of the caller", UserWarning, stacklevel=1)
    assert [str(one.message) for one in loose] == ["of the caller"]
    (warned,) = folder.report.warned
    assert warned[0] == "bees/odd.png"
    assert "Invalid APNG" in warned[1]
    assert main(["check", str(photos)]) == 0
    assert "read with a warning:\n  'bees/odd.png': Inv" in capsys.readouterr().out


def test_images_are_decoded_once_within_the_memory_limit(photos: Path, monkeypatch):
    decoded: list[str] = []

    def count_and_decode(path, *target):
        decoded.append(Path(path).name)
        return decode(path, *target)

    monkeypatch.setattr(decoding, "decode", count_and_decode)
    folder = scan(photos)
    monkeypatch.setattr(batching, "MEMORY", 5 * 12 * 12 * 3)
    first = Batches(folder, (*SIZE, 3), 5, shuffle=False, seed=0)
    first._order = rows = np.array([11, 0, 4, 0, 5])
    expected = load_images(folder, (*SIZE, 3)).images[rows]
    decoded.clear()
    np.testing.assert_array_equal(first[0][0], expected)
    decoded.clear()
    np.testing.assert_array_equal(first[0][0], expected)
    assert sorted(decoded) == ["5.png", "5.png"]  # the rows 11 and 5, beyond the first 5
    monkeypatch.undo()
    monkeypatch.setattr(decoding, "decode", count_and_decode)
    batches = Batches(folder, (*SIZE, 3), 5, shuffle=True, seed=0)
    decoded.clear()
    for epoch in range(3):
        batches.epoch = epoch
        for index in range(len(batches)):
            images, _ = batches[index]
            images[:] = 0  # must not change the cached images
    assert len(decoded) == len(folder)
    assert batches[0][0].any()


def test_photographs_of_ants_and_bees(data_folder: Path, tmp_path: Path, capsys):
    """One of the files is a placeholder for a missing photograph."""
    with zipfile.ZipFile(data_folder / "hymenoptera_train.zip") as archive:
        archive.extractall(tmp_path / "photos")
    assert main(["check", str(tmp_path / "photos")]) == 0
    output = capsys.readouterr().out
    odd = "rare formats:\n  'ants/imageNotFound.gif'"
    assert odd in output
    assert "245 images that can be read" in output
    args = ["--model", "lenet_gap", "--size", "32", "--channels", "3", "--epochs", "1"]
    out = ["--out", str(tmp_path / "run")]
    assert main(["train", str(tmp_path / "photos"), *args, *out]) == 0
    assert "220 training images, 25 validation images" in capsys.readouterr().out


# Arrays ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pixels", "found"),
    [
        (np.zeros((2, 8, 8)), r"the shape \(2, 8, 8\)"),
        (np.full((2, 8, 8, 3), np.nan), "float64 between nan and nan"),
        (np.full((2, 8, 8, 3), np.inf), "float64 between inf and inf"),
        (np.full((2, 8, 8, 3), 0.5, "float32"), "float32 between 0.5 and 0.5"),
        (np.full((2, 8, 8, 3), -1), "int64 between -1 and -1"),
        (np.full((2, 8, 8, 3), 256), "int64 between 256 and 256"),
        (np.zeros((2, 8, 8, 3), object), "the type object"),
    ],
    ids=str,
)
def test_i21_l07_arrays_that_are_not_pixels(pixels, found: str):
    with pytest.raises(UsageError, match=rf"pixels of 0 to 255, found {found}, so"):
        cnnzoo.evaluate(network(), Images(pixels, np.array([0, 1]), ("a", "b")))
    with pytest.raises(UsageError, match=rf"pixels of 0 to 255, found {found}, so"):
        probabilities(network(), pixels)


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ([0, 1, 0], r"the shape \(3,\)"),
        ([[1, 0], [0, 1]], r"the shape \(2, 2\)"),
        ([0, -1], "-1 as label 1"),
        ([0, np.nan], r".*nan.* as label 1"),
        (["0", "x"], "'0'.* as label 0"),
        ([0, None], "None as label 1"),
        ([10**400, None], "None as label 1"),
    ],
    ids=str,
)
def test_l01_l02_l03_invalid_labels(labels, found, tmp_path):
    pixels = np.zeros((2, 8, 8, 3), np.uint8)
    data = Images(pixels, np.array(labels), ("a", "b"))
    good = Images(pixels, np.array([0, 1]), ("a", "b"))
    message = rf"expected 2 numbers of classes, found {found}"
    with pytest.raises(LabelError, match=message):
        Run(tmp_path).fit(network(), data, good, Recipe(epochs=1))
    with pytest.raises(LabelError, match=message):
        cnnzoo.evaluate(network(), data)
    assert not list(tmp_path.iterdir())


# Fuzzing --------------------------------------------------------------------------------


def mutants(content: bytes, rng: np.random.Generator) -> bytes:
    """A few bits flipped, the end cut off, a part repeated, or a number made large."""
    bad = bytearray(content)
    way = rng.integers(4)
    place = int(rng.integers(len(bad)))
    if way == 0:
        for _ in range(rng.integers(1, 9)):
            bad[rng.integers(len(bad))] ^= 1 << rng.integers(8)
    elif way == 1:
        del bad[place:]
    elif way == 2:
        bad[place:place] = bad[: rng.integers(1, 60)]
    else:
        bad[place : place + 4] = rng.choice([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"])
    return bytes(bad)


@pytest.mark.filterwarnings("ignore")  # of Pillow, which the scan notes
def test_damaged_files_give_an_image_or_an_error(tmp_path: Path):
    """Every format with flipped bits and truncated: all readers agree."""
    rng = np.random.default_rng(0)
    forms = {n: c for n, c in every_form() if n not in ("large.jpg",)}
    (tmp_path / "a").mkdir()
    decided: dict[str, bool] = {}
    for number in range(1500):
        name, content = list(forms.items())[number % len(forms)]
        path = tmp_path / "a" / f"{number}{Path(name).suffix}"
        path.write_bytes(mutants(content, rng))
        decided[f"a/{path.name}"] = False
        with suppress(ImageDecodeError):
            decided[f"a/{path.name}"] = decode(path, (6, 6), 3).shape == (6, 6, 3)
    folder = scan(tmp_path, depth="pixels", on_bad="skip", complete=False)
    assert set(folder.names) == {name for name, good in decided.items() if good}
    assert 200 < len(folder) < 1300
