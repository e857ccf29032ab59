"""The network that reads image and history together, and the folder that it is kept in."""
