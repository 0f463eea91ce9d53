//! Files over HTTP, to be read only: what a web server or a CDN shows of a directory or of a bucket.

use std::io::{self, ErrorKind, Read};

use sync_core::{Auth, Interrupt};

use super::access::{Access, Login, LoginProvider};
use super::files::{PACKS, TIP, pack_file};
use super::web::{Ask, Web};
use super::{Engine, PackName, Record, Revision, Swap};
use crate::RelayName;

/// The files of one name.
pub(super) struct Http {
    web: Web,
    /// The URL of the directory of the name.
    own: String,
    login: LoginProvider,
}

impl Http {
    pub(super) fn new(base: &str, name: &RelayName, access: Access) -> Http {
        let own = format!("{base}/{name}");
        Http { web: Web::new(&access.connect, base.to_owned()), own, login: access.login }
    }

    /// The header that logs in.
    fn login(&self) -> io::Result<Option<String>> {
        let auth = match (self.login)()? {
            Login::None => return Ok(None),
            Login::Password { username, password } => Auth::Basic { user: username, password },
            Login::Token(token) => Auth::Bearer(token),
            Login::Keys(_) => {
                return Err(self.web.error(ErrorKind::InvalidInput, "keys of S3 are no login for HTTP"));
            }
        };
        Ok(Some(auth.header().expose().to_owned()))
    }

    fn refuse<T>(&self) -> io::Result<T> {
        let text = "can only be read; a feeder needs a relay at nats://, tls://, s3:// or file://";
        Err(self.web.error(ErrorKind::PermissionDenied, text))
    }
}

impl Engine for Http {
    fn prepare(&mut self, _: &Interrupt) -> io::Result<()> {
        self.refuse()
    }

    fn tip(&mut self, interrupt: &Interrupt) -> io::Result<Option<Record>> {
        let login = self.login()?;
        self.web.tip(Ask::get(&format!("{}/{TIP}", self.own), login), interrupt)
    }

    fn pack<'a>(
        &'a mut self,
        name: &PackName,
        interrupt: &'a Interrupt,
    ) -> io::Result<Box<dyn Read + Send + 'a>> {
        let url = format!("{}/{PACKS}/{}", self.own, pack_file(name));
        let login = self.login()?;
        self.web.pack(Ask::get(&url, login), name, interrupt).map(|reader| reader as _)
    }

    fn swap(&mut self, _: &[u8], _: Option<&Revision>, _: &Interrupt) -> io::Result<Swap> {
        self.refuse()
    }

    fn put_pack(&mut self, _: &PackName, _: u64, _: &mut fs_err::File, _: &Interrupt) -> io::Result<()> {
        self.refuse()
    }

    fn packs(&mut self, _: &Interrupt) -> io::Result<Vec<PackName>> {
        self.refuse()
    }

    fn remove_pack(&mut self, _: &PackName, _: &Interrupt) -> io::Result<()> {
        self.refuse()
    }

    fn is_connected(&self) -> bool {
        self.web.is_connected()
    }
}
