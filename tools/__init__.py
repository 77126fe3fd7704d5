"""What makes files of this project out of typed Python; not part of the package."""
