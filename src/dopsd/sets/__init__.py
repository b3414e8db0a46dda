"""Image sets that `dopsd fetch` knows."""
