"""What a run leaves to be shown: its page, its pictures, its model card; all made from the run's files alone."""
