"""CodeDeploy, for the compute platform Lambda: the emulator has none of it."""
