"""Speed of the three jobs, as ratios measured in one run: `make speed`. Not timed tests."""
