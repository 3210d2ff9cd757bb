"""From a path to lazy frames with their calibration."""
