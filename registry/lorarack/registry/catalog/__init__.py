"""Rows and migrations. SQLAlchemy rows never leave this package; values do."""
