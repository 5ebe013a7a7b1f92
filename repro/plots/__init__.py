"""One style for all figures, and files beside them that hold what they show."""
