"""PNG written in strips that can be read, and replaced, without the rest of the picture.

    filters.py    rows of pixels to rows of differences and back
    literals.py   differences to a deflate block without back references
    strips.py     strips to an ordinary PNG file; some of them replaced
    reading.py    whole pictures, or only the rows of a crop, out of a file

A strip is 32 rows whose first one looks at nothing above and whose deflate blocks end on a byte, in an IDAT chunk of
its own. Any decoder opens such a file. Pasting an object codes only the strips anew that it touches, a crop inflates
only the strips that it shows.
"""
