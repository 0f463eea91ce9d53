//! Repositories and servers that mean harm: docs/hostile-input.md names the test of every attack.

mod leftovers;
mod limits;
mod links;
mod lists;
mod names;
mod probes;
mod servers;
mod signed;
mod table;
