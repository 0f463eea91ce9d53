//! Handles the server's side of a session: its host key, its requests, and the end of the session.

use std::io;
use std::sync::{Arc, OnceLock};

use russh::Channel;
use russh::client::{self, ChannelOpenHandle, DisconnectReason, Msg};
use russh::keys::PublicKeyOrCertificate;

use super::failure::Failure;
use super::known_hosts::KnownHost;

pub(super) enum Trust {
    Known(Box<KnownHost>),
    Any,
}

/// Why a session ended; empty until then.
#[derive(Clone, Default)]
pub(super) struct End(Arc<OnceLock<Reason>>);

#[derive(Clone, Debug)]
pub(super) enum Reason {
    /// We did not accept the server, or it did not accept us.
    Refused(String),
    /// The server ended the session with this message.
    Dismissed(String),
    /// The connection broke.
    Lost(String),
}

impl End {
    pub(super) fn reason(&self) -> Reason {
        self.0.get().cloned().unwrap_or_else(|| Reason::Lost("the connection broke".into()))
    }

    /// The error for a use of the session after its end.
    pub(super) fn error(&self) -> io::Error {
        let (Reason::Refused(text) | Reason::Dismissed(text) | Reason::Lost(text)) = self.reason();
        io::Error::new(io::ErrorKind::ConnectionReset, format!("the SSH session ended: {text}"))
    }
}

impl From<End> for Failure {
    fn from(end: End) -> Self {
        match end.reason() {
            Reason::Refused(text) => Failure::Refused(text),
            Reason::Dismissed(_) | Reason::Lost(_) => Failure::Io(end.error()),
        }
    }
}

pub(super) struct Client {
    pub(super) trust: Trust,
    pub(super) end: End,
}

/// Refuses channels that the server opens, by dropping their handle: we forward nothing. By default russh accepts them.
macro_rules! refused {
    ($($kind:ident($($about:ty),*);)*) => {$(
        async fn $kind(
            &mut self,
            _: Channel<Msg>,
            $(_: $about,)*
            _: ChannelOpenHandle,
            _: &mut client::Session,
        ) -> Result<(), Failure> {
            Ok(())
        }
    )*};
}

impl client::Handler for Client {
    type Error = Failure;

    async fn check_server_key(&mut self, presented: &PublicKeyOrCertificate) -> Result<bool, Failure> {
        match &self.trust {
            Trust::Any => {}
            Trust::Known(known) => known.check(presented).map_err(Failure::Refused)?,
        }
        Ok(true)
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Failure>) -> Result<(), Failure> {
        let reason = match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                Reason::Dismissed(format!("the server says: {}", info.message.trim()))
            }
            DisconnectReason::Error(Failure::Refused(text)) => Reason::Refused(text),
            DisconnectReason::Error(Failure::Io(err) | Failure::NoChannel(err)) => {
                Reason::Lost(err.to_string())
            }
        };
        let _ = self.end.0.set(reason);
        Ok(())
    }

    refused! {
        server_channel_open_session();
        server_channel_open_direct_tcpip(&str, u32, &str, u32);
        server_channel_open_direct_streamlocal(&str);
        server_channel_open_forwarded_tcpip(&str, u32, &str, u32);
        server_channel_open_forwarded_streamlocal(&str);
        server_channel_open_x11(&str, u32);
        server_channel_open_agent_forward();
    }
}
