"""One training loop and its regularisers."""
