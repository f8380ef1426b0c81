"""Short trainings of different recipes that share a study, until one can be recommended."""
