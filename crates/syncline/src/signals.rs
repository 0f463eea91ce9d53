//! The signals that the process heeds.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
pub enum Event {
    /// To end: SIGTERM (Kubernetes, systemd) or SIGINT (a terminal).
    Shutdown(&'static str),
    /// To sync now.
    Wake,
}

/// Receives signals from the moment it is made.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    wake: Option<Signal>,
}

impl Signals {
    /// `wake` is the number of the signal that starts a sync, if there is one.
    pub fn listen(wake: Option<i32>) -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            wake: wake.map(|number| signal(SignalKind::from_raw(number))).transpose()?,
        })
    }

    pub async fn next(&mut self) -> Event {
        let wake = async {
            match &mut self.wake {
                Some(wake) => wake.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => Event::Shutdown("SIGTERM"),
            _ = self.interrupt.recv() => Event::Shutdown("SIGINT"),
            _ = wake => Event::Wake,
        }
    }
}
