//! What operators look at, by the tools that they look with: Prometheus, its rules, Alertmanager, and a browser.

mod dashboard;
mod page;
mod prometheus;
mod rules;
mod terminal;
