"""What is in a list that nobody specified? CSV and Excel lists, read as a mapping.toml says."""
