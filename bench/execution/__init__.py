"""What a session does with its runs: work, shares, progress, logs, and ends that come early."""
