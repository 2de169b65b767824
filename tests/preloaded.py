"""What workers of tests have imported when they begin."""

import bench.execution.worker  # noqa: F401
from bench.contracts.discovery import load_plugins

load_plugins()
