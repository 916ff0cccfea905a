"""What the doctor looks at, by subject. A check gives findings; what it raises is one too."""
