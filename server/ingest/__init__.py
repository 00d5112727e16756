"""The order of the durable steps from a whole body to a receipt (I2, I3); knows no HTTP."""
