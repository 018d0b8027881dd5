"""What the report is made of beside figures: its tables, its findings, its front page."""
