//! The workers of a program.
