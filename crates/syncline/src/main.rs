//! The program: the one place that reads the command line and the environment of the process.

use std::process::ExitCode;

use syncline::app;
use syncline::environment::Environment;

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn main() -> ExitCode {
    let environment = Environment::new(std::env::vars_os(), std::env::current_dir()).on_this_machine();
    app::main(std::env::args_os().collect(), environment)
}
