"""Series of known truth: each voxel's value says where in the patient it lies."""
