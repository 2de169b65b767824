"""Families of subcommands, and the console that they draw on."""
