//! The program, watched system call by system call.

pub mod group;
pub mod points;
pub mod relayed;
pub mod scene;
pub mod scenes;
pub mod steps;
