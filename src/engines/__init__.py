"""The engines that carry a round; each room translates between one of them and this kit."""
