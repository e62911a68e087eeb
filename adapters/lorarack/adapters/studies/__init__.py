"""From data to a rank with its reasons: train, look at many ranks, recommend one, publish the family."""
