"""The watchdog: what is due in an installation, and what cannot work in it."""
