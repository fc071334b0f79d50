"""Where on the network input the places of a layer look, measured while the model runs."""
