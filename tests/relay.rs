//! A fleet: feeders and followers of the program, with real engines between them.

mod failures;
mod faults;
mod fleet;
mod secrets;
