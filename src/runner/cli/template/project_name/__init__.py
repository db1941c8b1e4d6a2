"""project_name: which of two spirals a point lies on; put your own problem in its place."""
