//! The program, watched system call by system call.

pub mod points;
pub mod scenes;
pub mod steps;
