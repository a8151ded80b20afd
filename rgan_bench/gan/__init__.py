"""What a GAN is: losses, penalties, steps, networks. Knows nothing of files, cadences or devices."""
