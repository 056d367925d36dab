"""Does a stamp fit what is shown, through a notebook file and back, and nothing else?"""

from __future__ import annotations

import base64
import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from kenpo_analytics.disclosure.stamp import is_stamped, stamp

PNG = base64.b64encode(bytes(range(256))).decode()
BUNDLE = {
    "text/html": "<table>\n<tr><td>予備群</td></tr>\n</table>\n",
    "text/plain": "予備群\n1",
    "image/png": PNG,
}


def output(data, metadata, kind="display_data"):
    return new_output(kind, data=dict(data), metadata=metadata)


@pytest.mark.parametrize("kind", ["display_data", "execute_result"])
def test_survives_a_notebook_file(tmp_path, kind):
    path = tmp_path / "n.ipynb"
    cell = new_code_cell("x", outputs=[output(BUNDLE, stamp(BUNDLE), kind)], execution_count=1)
    nbformat.write(new_notebook(cells=[cell]), path)
    assert is_stamped(nbformat.read(path, 4).cells[0].outputs[0])
    raw = json.loads(path.read_text(encoding="utf-8"))["cells"][0]["outputs"][0]
    assert isinstance(raw["data"]["text/html"], list)
    assert is_stamped(raw)


@pytest.mark.parametrize("image", [PNG + "\n", base64.encodebytes(bytes(range(256))).decode(), bytes(range(256))])
def test_wrapped_and_binary_images_are_the_same_image(image):
    assert is_stamped({"data": BUNDLE | {"image/png": image}, "metadata": stamp(BUNDLE)})


@pytest.mark.parametrize(
    "data",
    [
        BUNDLE | {"text/plain": "予備群\n2"},
        BUNDLE | {"text/markdown": "3"},
        {"text/plain": BUNDLE["text/plain"]},
        BUNDLE | {"image/png": base64.b64encode(b"other").decode()},
    ],
)
def test_a_changed_bundle_no_longer_fits(data):
    assert not is_stamped(output(data, stamp(BUNDLE)))


@pytest.mark.parametrize("metadata", [{}, {"kenpo": {}}, {"kenpo": None}, {"kenpo": {"stamp": None}}, {"kenpo": "x"}])
def test_no_stamp_is_no_stamp(metadata):
    assert not is_stamped({"data": dict(BUNDLE), "metadata": metadata})


def test_an_empty_bundle_cannot_be_stamped():
    assert not is_stamped({"data": {}, "metadata": stamp({})})


def test_the_log_travels_along():
    assert stamp(BUNDLE, log={"masked": 3})["kenpo"]["log"] == {"masked": 3}
