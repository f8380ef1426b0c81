"""How much each part of the ranking counts: weights fitted to what was truly said in held-out episodes."""
