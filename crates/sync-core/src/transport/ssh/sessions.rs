//! The sessions that are kept, and which of their channels are in use.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, io};

use super::failure::Failure;
use super::options::SshOptions;
use super::permits::ChannelPermit;
use super::session::Session;
use crate::interrupt::Interrupt;
use crate::transport::proxy::Proxy;
use crate::url::ssh::SshUrl;

/// The most sessions that are kept for one key, and of all keys.
const MOST_OF_KEY: usize = 2;
const MOST: usize = 32;

/// Sessions, which clones share.
#[derive(Clone, Default)]
pub(crate) struct Sessions(Arc<Mutex<Vec<(Key, Session)>>>);

/// Who may share a session.
struct Key {
    url: SshUrl,
    options: SshOptions,
    proxy: Option<Proxy>,
}

impl Key {
    fn fits(&self, url: &SshUrl, (options, proxy): (&SshOptions, Option<&Proxy>)) -> bool {
        self.url.is_same_server(url) && self.options.is_equivalent(options) && self.proxy.as_ref() == proxy
    }
}

impl Sessions {
    /// Do something in a new channel of a session to the server: a kept one, or else a new one, which is then kept.
    pub(super) fn with_channel<T>(
        &self,
        url: &SshUrl,
        options: (&SshOptions, Option<&Proxy>),
        interrupt: &Interrupt,
        work: impl Fn(&Session, ChannelPermit) -> Result<T, Failure>,
    ) -> Result<(T, Session), Failure> {
        while let Some((session, permit)) = self.reserve(url, options) {
            match work(&session, permit) {
                Err(Failure::NoChannel(_)) if session.channels.limit() => {}
                // The kept session turned out to be dead.
                Err(_) if !interrupt.is_triggered() => self.discard(&session),
                done => return done.map(|done| (done, session)),
            }
        }
        let session = Session::start(url, options.0, options.1, interrupt)?;
        let permit = session.channels.reserve().ok_or_else(|| io::Error::other("it may have no channel"))?;
        self.keep(url, options, &session);
        let done = work(&session, permit).inspect_err(|_| self.discard(&session))?;
        Ok((done, session))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Key, Session)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A kept session with a channel to spare.
    fn reserve(
        &self,
        url: &SshUrl,
        options: (&SshOptions, Option<&Proxy>),
    ) -> Option<(Session, ChannelPermit)> {
        let mut kept = self.lock();
        kept.retain(|(key, session)| match key.fits(url, options) {
            true => session.is_good(),
            false => session.is_open(),
        });
        let fitting = kept.iter().enumerate().filter(|(_, (key, _))| key.fits(url, options));
        let mut found =
            fitting.rev().filter_map(|(at, (_, session))| Some((at, session.channels.reserve()?)));
        let (at, permit) = found.next()?;
        let entry = kept.remove(at);
        let session = entry.1.clone();
        kept.push(entry);
        Some((session, permit))
    }

    /// Keep a session, unless there are enough for its key. The least recently used one of all is dropped if there are
    /// too many: it ends when the last of its users has finished.
    fn keep(&self, url: &SshUrl, options: (&SshOptions, Option<&Proxy>), session: &Session) {
        let mut kept = self.lock();
        if kept.iter().filter(|(key, _)| key.fits(url, options)).count() >= MOST_OF_KEY {
            return;
        }
        if kept.len() >= MOST {
            kept.remove(0);
        }
        let key = Key { url: url.clone(), options: options.0.clone(), proxy: options.1.cloned() };
        kept.push((key, session.clone()));
    }

    fn discard(&self, session: &Session) {
        self.lock().retain(|(_, kept)| !kept.is_same(session));
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("kept", &self.lock().len()).finish_non_exhaustive()
    }
}
