from tests.trained import own_plate_run, pictures, plate_run

__all__ = ["own_plate_run", "pictures", "plate_run"]  # fixtures
