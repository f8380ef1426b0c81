"""How it learned to speak: offline fine-tuning on transcripts."""
