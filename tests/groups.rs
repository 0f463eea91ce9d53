//! Groups of `--config`: consumers see one whole set of commits or another, whatever happens.

mod members;
mod one_time;
mod pins;
mod readers;
mod sets;
mod waiting;
