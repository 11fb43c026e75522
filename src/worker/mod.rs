//! Work that is no request: items, tasks, loops.
