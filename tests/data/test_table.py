"""Images and labels in CSV files, and the submission for an unlabelled one."""

from pathlib import Path

import numpy as np
import pytest

from cnnzoo.data.table import read_csv, write_submission
from cnnzoo.errors import DatasetError, UsageError


def csv_of(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "text",
    [
        "1,0,1,2,255\n0,9,8,7,6\n",
        "1,0,1,2,255\r\n\r\n0,9,8,7,6",
        '\ufeff"1","0","1","2","255"\n"0", 9,8,7,6\n\n',
        "label,p0,p1,p2,p3\n1,0,1,2,255\n0,9,8,7,6\n",
        "\ufeffp0, Class ,p1,p2,p3\r\n0,1,1,2,255\r\n9,0,8,7,6\r\n",
        "\nID,p0,p1,p2,p3,TARGET\nx,0,1,2,255,1\n\n'y',9,8,7,6,0\n",
        'p0,p1,image_id,label,p2,p3\n0,1,"a,b",1,2,255\n9,8,,0,7,6\n',
        "label,0,1,2,3\n1,0,1,2,255\n0,9,8,7,6\n",
    ],
)
def test_csv_forms(tmp_path: Path, text: str):
    table = read_csv(csv_of(tmp_path / "a.csv", text))
    assert table.images.dtype == np.uint8
    assert table.images[..., 0].tolist() == [[[0, 1], [2, 255]], [[9, 8], [7, 6]]]
    assert table.labels is not None
    assert table.labels.dtype == np.int64
    assert table.labels.tolist() == [1, 0]
    assert table.class_names == ("0", "1")
    assert table.ids is None


@pytest.mark.parametrize(
    "text", ["dog,1,2,3,4\n cat,5,6,7,8\n", "a,b,c,d,label\n1,2,3,4,dog\n5,6,7,8,cat\n"]
)
def test_csv_with_names_of_classes(tmp_path: Path, text: str):
    table = read_csv(csv_of(tmp_path / "a.csv", text))
    assert table.images[..., 0].tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    assert table.class_names == ("cat", "dog")
    assert table.labels is not None
    assert table.labels.dtype == np.int64
    assert table.labels.tolist() == [1, 0]


def test_csv_without_labels(tmp_path: Path):
    plain = read_csv(csv_of(tmp_path / "a.csv", "a,b,c,d\n1,2,3,4\n"))
    assert plain.images.tolist() == [[[[1], [2]], [[3], [4]]]]
    assert (plain.labels, plain.ids, plain.class_names) == (None, None, ())
    text = 'ImageId,a,b,c,d\n"x é",1,2,3,4\n007,5,6,7,8\n'
    named = read_csv(csv_of(tmp_path / "b.csv", text))
    assert named.labels is None
    assert named.ids == ("x é", "007")
    assert named.images[1].ravel().tolist() == [5, 6, 7, 8]


def test_csv_of_one_row_and_of_colours(tmp_path: Path):
    values = ",".join(map(str, range(12)))
    table = read_csv(csv_of(tmp_path / "a.csv", f"0,{values}\n"))
    assert table.images.shape == (1, 2, 2, 3)
    assert table.images[0, 1, 0].tolist() == [6, 7, 8]
    assert table.class_names == ("0",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "one line per image, found none"),
        ("\n\r\n", "one line per image, found none"),
        ("label,a,b,c,d\n\n", "one line per image, found none"),
        ("0,1,2\n", "line 1: expected a square number of pixel.*found 2"),
        ("0\n", "line 1: expected a square number of pixel.*found 0"),
        ("label,class,a\n0,0,1\n", "line 1: .*named class, label, target, found 2"),
        ("id,ID,a\n0,0,1\n", "line 1: .*named id, image_id, imageid, found 2"),
        ("0,1,2,3,4\n\n0,1,2,3\n", "line 3: expected 5 fields.*found 4"),
        ("0,1,2,3,4\n0,1,2,3,4,5\n", "line 2: expected 5 fields.*found 6"),
        ("0,1,2,3,4\n0,1,2,x,4\n", "line 2, column 4: .*pixel of 0 to 255.*found 'x'"),
        ("0,1,2,3,4\n0,1,,3,4\n", "line 2, column 3: .*found ''"),
        ("0,1,2,3,4\n0,1,2,3,256\n", "line 2, column 5: .*found '256'"),
        ("0,1,2,3,-1\n0,1,2,3,4\n", "line 1, column 5: .*found '-1'"),
        ("l,a,b,c,label\n1,2,3,0.5,4\n", "line 2, column 4: .*found '0.5'"),
        ("label,a\n0,1\n\n\n-1,1\n", "line 5, column 1: .*a label from 0.*found '-1'"),
        ("label,a\n0,1\nx,1\n", "line 3, column 1: .*a label from 0.*found 'x'"),
        ("label,a\n1.0,1\n", "line 2, column 1: .*a label from 0.*found '1.0'"),
        ("0,1\n1,1\n4,1\n", "every label of 0 to 4, found none for 2,"),
        ("0,1\n1000000000000,1\n", "labels below 100,000, found 1000000000000,"),
        ("1,1\n2,1\n", "every label of 0 to 2, found none for 0,"),
        ("dog,1\n ,1\n", "line 2, column 1: .*the name of a class, found ' '"),
        ("dog,1\ncat,x\n", "line 2, column 2: .*a pixel of 0 to 255.*found 'x'"),
        (f"0,{'9' * 400}\n", "line 1, column 2: .*found '9{50}'"),
        (f"0,{'9' * 200_000}\n", "CSV file in UTF-8, found field larger"),
    ],
)
def test_bad_csv(tmp_path: Path, text: str, message: str):
    path = csv_of(tmp_path / "bad.csv", text)
    with pytest.raises(DatasetError, match=f"bad.csv.*{message}") as caught:
        read_csv(path)
    assert len(str(caught.value)) <= 1000


def test_files_that_are_not_csv(tmp_path: Path):
    path = csv_of(tmp_path / "a.csv", "label,é\n0,1\n", "latin-1")
    with pytest.raises(DatasetError, match=r"a\.csv: expected a CSV file in UTF-8"):
        read_csv(path)
    path = csv_of(tmp_path / "b.csv", '0,1,2,3,4\n0,1,2,3,"4\n')
    table = read_csv(path)  # an unclosed quote ends with the file
    assert table.images[1].ravel().tolist() == [1, 2, 3, 4]


def test_csv_of_many_rows(tmp_path: Path):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (500, 784), dtype=np.uint8)
    body = "\n".join("3," + ",".join(map(str, row)) for row in values.tolist())
    rows = "\n".join(f"{label},{'0,' * 783}0" for label in range(3))
    path = csv_of(tmp_path / "a.csv", f"{rows}\n" + "\n".join([body] * 8))
    table = read_csv(path)
    np.testing.assert_array_equal(table.images[-500:, ..., 0].reshape(500, -1), values)


def test_submission(tmp_path: Path):
    path = write_submission(tmp_path / "out" / "a.csv", np.array([3, 0]))
    assert path.read_bytes() == b"ImageId,Label\n1,3\n2,0\n"
    write_submission(path, [7], ids=['a,"b'], columns=("id", "class"))
    assert path.read_bytes() == b'id,class\n"a,""b",7\n'
    write_submission(path.with_name("b.csv"), ["cat", "dog"])
    assert path.with_name("b.csv").read_bytes() == b"ImageId,Label\n1,cat\n2,dog\n"
    with pytest.raises(UsageError, match=r"a\.csv: expected one id for each of 2 labels"):
        write_submission(path, [1, 2], ids=["x"])
    assert path.read_bytes() == b'id,class\n"a,""b",7\n'
