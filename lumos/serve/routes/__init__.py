"""What each address answers: videos, what is to be seen while they are made, images, and the server itself."""
