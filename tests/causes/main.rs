//! Errors of any type are asked for their whole chain of causes.

mod clients;
mod inferred;
mod reasons;
mod types;
