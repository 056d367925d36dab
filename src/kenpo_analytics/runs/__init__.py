"""Did the monthly run finish? Plan, execute, verify, publish, and a manifest that tells how."""
