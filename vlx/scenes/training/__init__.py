"""Train the models of the built-in scenes from nothing."""
