"""NIfTI files: the one place where arrays and affines are turned to that format's order and RAS."""

from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

from pipeline.errors import IngestError
from pipeline.files import whole_file
from pipeline.geometry import LPS_TO_RAS, Geometry

MAX_VOXELS = 1_000_000_000
_REVERSE = np.eye(4)[[2, 1, 0, 3]]


def save_nifti(
    path: Path, array: NDArray[np.float32] | NDArray[np.uint8], geometry: Geometry
) -> None:
    """Write an array as NIfTI-1, gzipped, with the patient position in sform and qform.

    Parameters
    ----------
    path
        Ends in ``.nii.gz``; appears only once it is complete.
    array : shape (slices, rows, columns)
        Written as (column, row, slice).
    geometry
        In LPS; written in RAS, as the format demands.
    """
    affine = LPS_TO_RAS @ geometry.affine @ _REVERSE
    image = nibabel.Nifti1Image(np.ascontiguousarray(array.transpose(2, 1, 0)), affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner")
    with whole_file(path) as temporary:
        nibabel.save(image, temporary)


def load_nifti(path: Path) -> tuple[NDArray[np.float32], Geometry]:
    """Read a 3D NIfTI file that :func:`save_nifti` or any other program wrote.

    Returns
    -------
    array : shape (slices, rows, columns), float32
        The file's (k, j, i) axes; i is turned round where the file's own order is left-handed in
        LPS, so that the geometry is valid and every voxel stays where it was.
    geometry : mm, LPS

    Raises
    ------
    IngestError
        If it is not NIfTI, not 3D, or larger than ``MAX_VOXELS``.
    GeometryError
        If its affine is not a grid.
    """
    try:
        image = nibabel.load(path)
    except (ImageFileError, OSError, ValueError) as error:
        msg = f"{path.name} is not a readable NIfTI file"
        raise IngestError(msg) from error
    if len(image.shape) != 3 or not int(np.prod(image.shape)) <= MAX_VOXELS:
        msg = f"{path.name} must hold 3 dimensions and at most {MAX_VOXELS} voxels"
        raise IngestError(msg)
    array = np.asarray(image.dataobj, dtype=np.float32).transpose(2, 1, 0)
    affine = LPS_TO_RAS @ image.affine @ _REVERSE
    if np.linalg.det(affine[:3, :3]) > 0:
        array = array[:, :, ::-1]
        affine[:3, 3] += affine[:3, 2] * (array.shape[2] - 1)
        affine[:3, 2] *= -1
    return np.ascontiguousarray(array), Geometry(affine, array.shape)
