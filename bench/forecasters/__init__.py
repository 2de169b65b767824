"""Built-in forecasters; a user's live in ``adapters/`` or come by ``--plugins``."""
