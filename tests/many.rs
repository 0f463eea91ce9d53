//! `--config`: many repositories in one process.

mod entries;
mod lifecycle;
mod published;
mod reload;
mod serving;
mod together;
