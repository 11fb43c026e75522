//! The whole chain of causes is read, for errors of any type.

mod clients;
mod inferred;
mod reasons;
mod types;
