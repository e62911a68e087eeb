"""Reading, checking and naming a trained adapter, without torch and without unpickling anything."""
