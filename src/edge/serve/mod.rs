//! Start and stop of a program that serves.
