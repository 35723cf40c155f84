"""Commands around a running picture, and what `rtstyle webcam` shows of itself to others."""
