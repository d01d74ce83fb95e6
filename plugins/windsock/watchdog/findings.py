"""What cannot work in an installation."""
