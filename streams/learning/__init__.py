"""Learning from outcomes: evaluation, recalibration, calibration, forecast."""
