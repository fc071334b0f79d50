"""Studies with people: which object is shown, which model is more reliable (paper 5.1, 5.2)."""
