"""What the notebooks show: pictures, tables and answers of the committed reports, small enough to lie in git.
Of a study that is not on record here each of them says so."""
