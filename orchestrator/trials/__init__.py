"""Many runs of one scenario: sweeps over seeds, and the shrinking of what fails."""
