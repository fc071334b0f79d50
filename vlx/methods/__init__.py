"""Methods: from activations, gradients or hidden windows to maps."""
