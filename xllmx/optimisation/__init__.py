"""What makes new weights of gradients: optimisers, averages, scales of the loss, the numbers it is computed in."""
