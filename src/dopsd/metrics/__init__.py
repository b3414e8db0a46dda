"""One function a score; every number comes with its 95 % interval and the number of units behind it."""
