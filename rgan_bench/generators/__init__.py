"""A trained generator, and what is made of it: images, films, files of its own."""
