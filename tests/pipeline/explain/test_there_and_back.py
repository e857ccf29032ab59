from benchmarks.there_and_back import trips_of
from schemas.protocol import Protocol


def test_a_point_comes_back_to_where_it_was_in_every_orientation(protocol: Protocol) -> None:
    trips = trips_of(protocol, (6.0, 2.5, 3.5))
    assert len(trips) == 48
    assert len({trip.name for trip in trips}) == 48
    for trip in trips:
        assert trip.is_own_token, trip
        # Voxels of the network's grid, then of the scanner's.
        assert trip.there <= 0.5, trip
        assert trip.back <= 0.5, trip
        # Half a voxel is the grid's own.
        assert trip.peak <= 1.0, trip
