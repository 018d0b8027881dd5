"""The tables of detection, made from the scores of both arms."""
