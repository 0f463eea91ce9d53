//! In place of `relay/`, where the feature `relay` is off: nothing can be configured, so nothing of it can exist.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sync_core::{ConnectOptions, Interrupt, Relay, RemoteUrl, RequestObserver, Source, Store, Tip};
use tokio::sync::Notify;

use crate::options::RELAY_URL;
use crate::reader::OptionReader;
use crate::status::RelayView;

#[derive(Clone, Debug, PartialEq)]
pub struct RelayConfig(Infallible);

pub struct Feeding(Infallible);

#[derive(Clone, Debug, Default)]
pub struct Accesses(());

#[derive(Clone, Debug)]
pub struct Facts(Infallible);

impl RelayConfig {
    pub fn period(&self) -> Option<Duration> {
        match self.0 {}
    }

    pub fn facts(&self) -> Facts {
        match self.0 {}
    }

    pub fn counted(&self, _: RequestObserver) -> RelayConfig {
        match self.0 {}
    }

    pub fn follower(&self, _: PathBuf, _: &Accesses, _: &Arc<Notify>, _: &Facts) -> Option<Box<dyn Relay>> {
        match self.0 {}
    }

    pub fn feeding(&self, _: &Accesses, _: &Facts) -> Option<Feeding> {
        match self.0 {}
    }
}

impl Feeding {
    pub fn feed(&mut self, _: &Tip, _: &Store, _: &Interrupt) {
        match self.0 {}
    }
}

impl Facts {
    pub fn view(&self) -> RelayView {
        match self.0 {}
    }
}

pub fn place_of(_: &mut OptionReader) -> Option<RemoteUrl> {
    None
}

pub fn read(r: &mut OptionReader, _: Option<&mut Source>, _: &ConnectOptions) -> Option<RelayConfig> {
    r.error_each(&[&RELAY_URL], "needs a syncline that is built with its feature relay");
    None
}
