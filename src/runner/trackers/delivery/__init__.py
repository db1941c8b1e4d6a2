"""What every tracker with a process of its own needs: start it, feed it, end it in time."""
