//! Server arguments.
