//! Waiting on the caller's thread.

use std::io;
use std::sync::mpsc;
use std::time::Duration;

use sync_core::Interrupt;

/// How often the interrupt is checked.
const SLICE: Duration = Duration::from_millis(50);

/// Wait for so long, unless an interrupt comes.
pub(crate) fn pause(time: Duration, interrupt: &Interrupt) -> io::Result<()> {
    let (_nobody, nothing) = mpsc::channel::<()>();
    let mut left = time;
    while !left.is_zero() {
        interrupt.check()?;
        let _ = nothing.recv_timeout(left.min(SLICE));
        left = left.saturating_sub(SLICE);
    }
    Ok(())
}
