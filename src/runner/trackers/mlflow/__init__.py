"""Mirror a run to MLflow: `tracker` in the training process, `delivery` in a process of its own."""
