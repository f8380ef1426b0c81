"""Reply engines behind one contract, and the checkpoints they load."""
