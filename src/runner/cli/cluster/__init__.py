"""One run on a cluster: submitted, watched, left and taken up again."""
