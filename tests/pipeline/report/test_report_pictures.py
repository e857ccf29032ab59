import base64
import io

import numpy as np
import pytest
from PIL import Image
from report_examples import PEAK, SHAPE, geometry, heatmap, volume

from pipeline.heatmap import Heatmap
from pipeline.report.picture import (
    CENTRE,
    HATCH,
    LEVELS,
    VEIL,
    choose_window,
    grey_pixels,
    jpeg_uri,
    overlay_pixels,
    palette,
    png_uri,
)
from pipeline.report.scene import centre_index, make_picture, prepare_scan


def opened(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1])))


def colours(uri):
    return np.asarray(opened(uri).convert("RGBA")).astype(int)


def picture_of(grid, *, peak=PEAK):
    scan = prepare_scan(volume(grid), (peak,))
    return make_picture(scan, peak, heatmap(grid, peak=peak))


def test_an_abdomen_with_bowel_gas_gets_the_soft_tissue_window():
    array = np.full(SHAPE, -1000.0)
    array[:, 4:20, 4:16] = 40
    array[:, 8:14, 6:12] = -1000
    window = choose_window(volume(array=array, unit="HU"))
    assert (window.low, window.high) == (-160, 240)
    assert "Soft-tissue" in window.words


def test_foam_and_clothes_outside_the_body_do_not_call_for_the_lung_window():
    array = np.full(SHAPE, -800.0)
    array[:, 4:12, 4:12] = 40
    assert "Soft-tissue" in choose_window(volume(array=array, unit="HU")).words


def test_lungs_inside_the_body_call_for_the_lung_window():
    array = np.full(SHAPE, -1000.0)
    array[:, 4:20, 4:16] = 40
    array[:, 8:14, 6:12] = -800
    window = choose_window(volume(array=array, unit="HU"))
    assert (window.low, window.high) == (-1350, 150)
    assert "Lung" in window.words


def test_a_thin_slab_has_a_frame_with_room_for_its_letters():
    grid = geometry(shape=(2, 200, 100))
    for panel in picture_of(grid, peak=(0, 100, 50)).panels:
        assert min(panel.frame) >= 100
        assert panel.frame[1] == panel.height + 2 * panel.inset[1]


def test_mr_levels_leave_the_background_out():
    array = np.zeros(SHAPE)
    array[5:] = np.linspace(100, 300, 2400).reshape(5, 24, 20)
    window = choose_window(volume(array=array))
    assert window.low == pytest.approx(102, abs=1)
    assert window.high == pytest.approx(299, abs=1)


def test_a_volume_of_one_value_has_a_window():
    window = choose_window(volume(array=np.full(SHAPE, 3.0)))
    assert window.low < window.high


def test_grey_levels_run_from_black_to_white_and_nan_is_black():
    window = choose_window(volume(array=np.full(SHAPE, 40.0), unit="HU"))
    plane = np.array([[-160.0, 40.0, 240.0, np.nan]], dtype=np.float32)
    assert grey_pixels(plane, window, (1, 4)).tolist() == [[0, 128, 255, 0]]


def test_zero_is_transparent_and_the_two_signs_have_different_colours():
    table = palette().astype(int)
    assert table[CENTRE, 3] == 0
    raises, lowers = table[CENTRE + LEVELS], table[CENTRE - LEVELS]
    assert raises[0] > raises[2]
    assert lowers[2] > lowers[0]
    assert raises[3] == lowers[3] > 100


def test_more_is_never_more_transparent():
    alpha = palette()[:, 3].astype(int)
    assert (np.diff(alpha[CENTRE : CENTRE + LEVELS + 1]) >= 0).all()


def test_nan_is_hatched_and_nothing_else_is():
    plane = np.full((40, 40), 0.0, dtype=np.float32)
    plane[:20] = np.nan
    indices = overlay_pixels(plane, 1.0, (40, 40))
    assert set(np.unique(indices[:20])) == {VEIL, HATCH}
    assert set(np.unique(indices[20:])) == {CENTRE}


def test_nan_does_not_spread_when_pixels_are_resized():
    plane = np.full((10, 10), 0.5, dtype=np.float32)
    plane[:5] = np.nan
    indices = overlay_pixels(plane, 1.0, (40, 40))
    assert np.isin(indices[:20], (VEIL, HATCH)).all()
    assert not np.isin(indices[20:], (VEIL, HATCH)).any()


def test_an_empty_heatmap_is_transparent_everywhere():
    assert (overlay_pixels(np.zeros((8, 8), dtype=np.float32), 0.0, (16, 16)) == CENTRE).all()


def test_a_png_keeps_its_colours_and_transparency():
    indices = np.array([[CENTRE, CENTRE + LEVELS, VEIL]], dtype=np.uint8)
    shown = colours(png_uri(indices))
    assert shown.tolist() == [palette()[[CENTRE, CENTRE + LEVELS, VEIL]].astype(int).tolist()]


def test_a_jpeg_is_grey():
    assert opened(jpeg_uri(np.zeros((4, 6), dtype=np.uint8), quality=80)).mode == "L"


def test_pictures_have_the_proportions_of_the_patient():
    panels = {panel.plane.name: panel for panel in picture_of(geometry()).panels}
    # 10 slices of 5 mm, 24 rows of 1 mm, 20 columns of 2 mm: 50 x 24 x 40 mm.
    proportions = {"axial": 40 / 24, "coronal": 40 / 50, "sagittal": 24 / 50}
    for name, expected in proportions.items():
        assert panels[name].width / panels[name].height == pytest.approx(expected, rel=0.02)
        width, height = opened(panels[name].grey).size
        assert width / height == pytest.approx(expected, rel=0.02)


def test_the_planes_share_one_scale_and_the_bar_is_true_to_it():
    for panel in picture_of(geometry()).panels:
        width_mm = panel.plane.size_mm(SHAPE)[1]
        assert panel.bar_px / panel.bar_mm == pytest.approx(panel.width / width_mm, rel=0.01)
    assert len({panel.bar_px / panel.bar_mm for panel in picture_of(geometry()).panels}) == 1


@pytest.mark.parametrize("peak", [PEAK, (0, 0, 0), (8, 23, 19), (3, 20, 1)], ids=str)
def test_the_strongest_colour_lies_under_the_cross(peak):
    for panel in picture_of(geometry(), peak=peak).panels:
        shown = colours(panel.overlay)
        warm = np.where(shown[..., 0] > shown[..., 2], shown[..., 3], 0)
        rows, columns = np.nonzero(warm == warm.max())
        height, width = warm.shape
        n_down, n_right = panel.plane.size(SHAPE)
        x, y = panel.cross[0] / panel.width * width, panel.cross[1] / panel.height * height
        assert abs(columns.mean() + 0.5 - x) <= 0.5 * width / n_right
        assert abs(rows.mean() + 0.5 - y) <= 0.5 * height / n_down


def test_the_slice_that_was_not_assessed_is_hatched_whole():
    stack = picture_of(geometry()).stack
    last = colours(stack.overlays[stack.numbers.index(SHAPE[0])])
    hatched = palette()[[VEIL, HATCH]].astype(int).tolist()
    assert all(pixel.tolist() in hatched for pixel in last.reshape(-1, 4))


def test_all_slices_are_there_when_they_are_few():
    assert picture_of(geometry()).stack.numbers == tuple(range(1, 11))


def test_the_peaks_slice_is_among_those_kept_of_many():
    grid = geometry(shape=(301, 8, 8))
    scan = prepare_scan(volume(grid), ((173, 4, 4),))
    stack = make_picture(scan, (173, 4, 4), None).stack
    assert len(stack.numbers) <= 41
    assert stack.numbers[0] == 1
    assert stack.numbers[-1] == 301
    assert stack.numbers[stack.first] == 174
    assert stack.overlays == ()


def test_a_heatmap_that_saw_nothing_has_no_colours():
    grid = geometry()
    unseen = Heatmap(np.full(SHAPE, np.nan, dtype=np.float32), grid, "mass")
    scan = prepare_scan(volume(grid), (centre_index(volume(grid)),))
    picture = make_picture(scan, centre_index(volume(grid)), unseen)
    assert picture.limit_per_ml == 0.0
    assert picture.has_unseen


def test_what_lowers_keeps_its_colour_where_little_red_is_faded():
    grid = geometry()
    array = np.full(SHAPE, -0.5, dtype=np.float32)
    array[0, 0, 0] = 0.1
    scan = prepare_scan(volume(grid), (centre_index(volume(grid)),))
    picture = make_picture(scan, centre_index(volume(grid)), Heatmap(array, grid, "mass"), fade=3.0)
    voxel_ml = np.prod(grid.spacing_mm) / 1000.0
    assert picture.limit_per_ml == pytest.approx(0.5 / voxel_ml)
