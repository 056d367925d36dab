"""Speed of the jobs, as ratios measured in one run: `make speed`. Not timed tests."""
