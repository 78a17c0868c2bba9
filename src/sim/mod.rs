//! The simulated surroundings.
