"""Model: the 3D U-Net and its losses."""
