"""How far attacked data can be told from natural data, in both arms."""
