//! `--config`: many repositories in one process.

mod lifecycle;
mod reload;
mod serving;
mod together;
