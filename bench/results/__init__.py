"""What keeps results safe on disk: whole files, locks, owners, checksums, migrations, maintenance."""
