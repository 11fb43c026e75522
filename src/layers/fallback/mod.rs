//! Another answer when a call fails.
