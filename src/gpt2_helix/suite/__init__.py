"""What is judged: the statements of the post, models to ask them of, and broken models."""
