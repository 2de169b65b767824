"""Results of several experiments or machines as one leaderboard."""
