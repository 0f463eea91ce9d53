//! Objects from a server: the batch API says where they are, plain GETs bring them.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::fault::Fault;
use super::{Headers, LfsFetcher, Missing, ssh, step_of};
use crate::error::{Error, ErrorKind, Result};
use crate::fetched::WantedContent;
use crate::lfs::LfsObject;
use crate::lfs::batch::{Action, Denial, MAX_ANSWER, MAX_OBJECTS, MEDIA_TYPE, parse, request};
use crate::lfs::endpoint::Endpoint;
use crate::lfs::store::{LfsStore, Part, for_each_piece};
use crate::transport::download::{Call, Downloader, Reply};
use crate::url::{HttpUrl, Kind, RemoteUrl};

/// The pauses before retries.
const PAUSES: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// The LFS server.
struct Server {
    url: HttpUrl,
    /// Headers with the login, for its own origin.
    headers: Headers,
}

/// Fetch objects on several threads. Returns the URL of the server, and what it does not have.
pub(super) fn from_server<'a>(
    fetcher: &'a LfsFetcher,
    endpoint: &Endpoint,
    wanted: &'a [WantedContent],
    store: &'a LfsStore,
) -> Result<(String, Vec<Missing<'a>>)> {
    let transfers = fetcher.transfers().min(wanted.len());
    let client = Downloader::new(&fetcher.options, &fetcher.connections, &fetcher.interrupt, transfers);
    let server = Server::of(fetcher, endpoint, &client)?;
    let place = server.url.base.clone();
    let queue = Queue { rest: wanted, ready: VecDeque::new(), batch_size: MAX_OBJECTS, missing: Vec::new() };
    let transfer = Transfer {
        fetcher,
        client,
        server,
        store,
        queue: Mutex::new(queue),
        is_over: AtomicBool::new(false),
    };
    let outcomes = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..transfers).map(|_| scope.spawn(|| transfer.run())).collect();
        threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    let secrets: Vec<String> = transfer.server.headers.iter().map(|(_, value)| value.clone()).collect();
    for outcome in outcomes {
        let died = |_| Error::new(ErrorKind::Other, "fetch Git LFS objects", "a thread died");
        outcome.map_err(died)?.map_err(|err| err.hiding(&secrets))?;
    }
    let queue = transfer.queue.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((place, queue.missing))
}

impl Server {
    fn of(fetcher: &LfsFetcher, endpoint: &Endpoint, client: &Downloader) -> Result<Server> {
        let url = match endpoint {
            Endpoint::Http(url) => url.clone(),
            Endpoint::Ssh(ssh, guess) => match ssh::authenticate(fetcher, ssh, &guess.base)? {
                Some((base, headers)) => return Ok(Server { url: HttpUrl { base, login: None }, headers }),
                None => guess.clone(),
            },
            Endpoint::Local => {
                let text = "a local repository has no LFS server";
                return Err(Error::new(ErrorKind::Configuration, "fetch Git LFS objects", text));
            }
        };
        let headers = login(fetcher, &url).into_iter().chain(client.user_headers(&url.base)).collect();
        Ok(Server { url, headers })
    }
}

/// The headers of the user's login for a URL. On the origin of the repository, its login counts, too.
fn login(fetcher: &LfsFetcher, url: &HttpUrl) -> Headers {
    let credentials = &fetcher.options.credentials;
    let is_same = RemoteUrl(Kind::Http(url.clone())).origin() == fetcher.remote.origin();
    let auth = credentials.login_for(url).or_else(|| match &fetcher.remote.0 {
        Kind::Http(own) if is_same => credentials.login_for(own),
        _ => None,
    });
    let auth = auth.map(|auth| ("Authorization".to_owned(), auth.header().expose().to_owned()));
    let cookie = credentials.cookies_for(&url.base).map(|value| ("Cookie".to_owned(), value));
    auth.into_iter().chain(cookie).collect()
}

/// What the threads share.
struct Transfer<'a> {
    fetcher: &'a LfsFetcher,
    client: Downloader,
    server: Server,
    store: &'a LfsStore,
    queue: Mutex<Queue<'a>>,
    /// Whether a thread failed, so that the others stop.
    is_over: AtomicBool,
}

struct Queue<'a> {
    /// What the server was not asked for yet.
    rest: &'a [WantedContent],
    ready: VecDeque<(&'a WantedContent, Action)>,
    batch_size: usize,
    missing: Vec<Missing<'a>>,
}

impl<'a> Transfer<'a> {
    /// Fetch objects until there are no more.
    fn run(&self) -> Result<()> {
        let run = || {
            while let Some((wanted, action)) = self.next()? {
                self.fetch(wanted, action)?;
                gix::Count::inc(&self.fetcher.progress.files());
            }
            Ok(())
        };
        run().inspect_err(|_| self.is_over.store(true, Ordering::Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, Queue<'a>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next object. The server is asked for more when none is ready: what it says is valid for some time only.
    fn next(&self) -> Result<Option<(&'a WantedContent, Action)>> {
        let mut queue = self.lock();
        loop {
            if self.is_over.load(Ordering::Relaxed) {
                return Ok(None);
            }
            if let Some(next) = queue.ready.pop_front() {
                return Ok(Some(next));
            }
            if queue.rest.is_empty() {
                return Ok(None);
            }
            let (asked, rest) = queue.rest.split_at(queue.batch_size.min(queue.rest.len()));
            match self.ask(asked) {
                Ok(answers) => {
                    queue.rest = rest;
                    for (wanted, answer) in asked.iter().zip(answers) {
                        match answer {
                            Ok(action) => queue.ready.push_back((wanted, action)),
                            Err(denial) => queue.missing.push(self.missing(wanted, denial)?),
                        }
                    }
                }
                Err(Fault::Status(status)) if status.code == 413 && asked.len() > 1 => {
                    queue.batch_size = asked.len() / 2;
                }
                Err(Fault::Status(status)) if status.code == 404 => {
                    let text = format!("there is no LFS server: {status}");
                    return Err(Error::new(ErrorKind::NotFound, self.step(&asked[0]), text));
                }
                Err(fault) => return Err(fault.into_error(self.step(&asked[0]))),
            }
        }
    }

    fn step(&self, wanted: &WantedContent) -> String {
        step_of(wanted, &self.server.url.base)
    }

    /// An object that the server does not have. Any other reason is an error.
    fn missing(&self, wanted: &'a WantedContent, Denial { code, message }: Denial) -> Result<Missing<'a>> {
        let reason = format!("{message} ({code})");
        let kind = match code {
            404 | 410 => return Ok(Missing { wanted, reason }),
            401 => ErrorKind::Login,
            403 => ErrorKind::Denied,
            409 | 422 => ErrorKind::Rejected,
            _ => ErrorKind::Server,
        };
        Err(Error::new(kind, self.step(wanted), reason))
    }

    /// Ask the server where objects are.
    fn ask(
        &self,
        wanted: &[WantedContent],
    ) -> std::result::Result<Vec<std::result::Result<Action, Denial>>, Fault> {
        let objects: Vec<LfsObject> = wanted.iter().map(|wanted| wanted.object).collect();
        let reference = self.fetcher.reference.as_deref().filter(|name| name.starts_with("refs/"));
        let (body, url) = (request(&objects, reference), format!("{}/objects/batch", self.server.url.base));
        let headers = [("Accept", MEDIA_TYPE), ("Content-Type", MEDIA_TYPE)];
        let headers: Vec<_> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        self.with_retries(|| {
            let own_headers = self.server.headers.clone();
            let call = Call { url: &url, headers: headers.clone(), own_headers, body: Some(&body) };
            let reply = self.client.send(&call)?;
            if reply.status() != 200 {
                return Err(Fault::Status(reply.into_error()));
            }
            let mut answer = Vec::new();
            reply.into_body().take(MAX_ANSWER + 1).read_to_end(&mut answer)?;
            if answer.len() as u64 > MAX_ANSWER {
                return Err(Fault::Content(format!("its answer has more than {MAX_ANSWER} bytes")));
            }
            parse(&answer, &objects, &url).map_err(Fault::Content)
        })
    }

    /// Try several times, with pauses.
    fn with_retries<T>(
        &self,
        attempt: impl Fn() -> std::result::Result<T, Fault>,
    ) -> std::result::Result<T, Fault> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let fault = match attempt() {
                Err(fault) => fault,
                done => return done,
            };
            match pauses.next().and_then(|usual| fault.pause(usual)) {
                Some(pause) => self.wait(pause)?,
                None => return Err(fault),
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a server's hiccup must not cost the whole sync")]
    fn wait(&self, pause: Duration) -> io::Result<()> {
        const TURN: Duration = Duration::from_millis(50);
        let mut left = pause;
        while !left.is_zero() && !self.is_over.load(Ordering::Relaxed) {
            self.fetcher.interrupt.check()?;
            std::thread::sleep(left.min(TURN));
            left = left.saturating_sub(TURN);
        }
        Ok(())
    }

    /// Fetch one object. If its URL is no longer valid, the server is asked for another one, once.
    fn fetch(&self, wanted: &WantedContent, action: Action) -> Result<()> {
        let fetched = match self.with_retries(|| self.get(&wanted.object, &action)) {
            Err(Fault::Status(status)) if matches!(status.code, 401 | 403) => {
                self.ask(std::slice::from_ref(wanted)).and_then(|mut answers| match answers.pop() {
                    Some(Ok(action)) => self.with_retries(|| self.get(&wanted.object, &action)),
                    _ => Err(Fault::Status(status)),
                })
            }
            fetched => fetched,
        };
        if matches!(fetched, Err(Fault::Over)) {
            return Ok(()); // the other thread says why
        }
        fetched.map_err(|fault| {
            let values = action.headers.iter().map(|(_, value)| value.clone());
            fault.into_error(self.step(wanted)).hiding(&values.collect::<Vec<_>>())
        })
    }

    /// One attempt. What has arrived stays for the next one.
    fn get(&self, object: &LfsObject, action: &Action) -> std::result::Result<(), Fault> {
        let mut part = self.store.begin(object, &self.fetcher.interrupt)?;
        let was_resumed = part.length() > 0;
        if part.rest() > 0 {
            let reply = self.reply(&mut part, action)?;
            self.receive(&mut part, reply)?;
        }
        if part.finish()? {
            return Ok(());
        }
        if was_resumed {
            return self.get(object, action); // the part is gone now
        }
        Err(Fault::Content("what the server sent has another SHA-256".into()))
    }

    /// Ask for what is missing of a part. The answer begins where the part ends.
    fn reply(&self, part: &mut Part, action: &Action) -> std::result::Result<Reply, Fault> {
        let reply = self.client.send(&self.call(part, action))?;
        match reply.status() {
            200 => {
                part.restart()?;
                Ok(reply)
            }
            206 if is_rest(&reply, part) => Ok(reply),
            206 | 416 if part.length() > 0 => {
                part.restart()?;
                self.reply(part, action)
            }
            _ => Err(Fault::Status(reply.into_error())),
        }
    }

    fn call<'b>(&self, part: &Part, action: &'b Action) -> Call<'b> {
        let mut headers = action.headers.clone();
        headers.push(("Accept-Encoding".into(), "identity".into())); // ranges are of the file
        if part.length() > 0 {
            let last = part.length() + part.rest() - 1;
            headers.push(("Range".into(), format!("bytes={}-{last}", part.length())));
        }
        let has_login = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        let own_headers =
            if has_login || action.is_authenticated { Vec::new() } else { self.login_for(&action.href) };
        Call { url: &action.href, headers, own_headers, body: None }
    }

    /// The login for the place of an object: that of the LFS server on its own origin, else what the user says.
    fn login_for(&self, href: &str) -> Headers {
        let base = href.split(['?', '#']).next().unwrap_or_default().to_owned();
        let url = HttpUrl { base, login: None };
        let origin = |url: &HttpUrl| RemoteUrl(Kind::Http(url.clone())).origin();
        match origin(&url) == origin(&self.server.url) {
            true => self.server.headers.clone(),
            false => login(self.fetcher, &url),
        }
    }

    fn receive(&self, part: &mut Part, reply: Reply) -> std::result::Result<(), Fault> {
        let rest = part.rest();
        let too_much = |found: u64| Fault::Content(format!("the server sends {found} bytes, not {rest}"));
        if let Some(length) = reply.content_length().filter(|length| *length != rest) {
            return Err(too_much(length));
        }
        let (bytes, mut is_too_long) = (self.fetcher.progress.bytes(), false);
        let is_taken = for_each_piece(reply.into_body(), &self.fetcher.interrupt, |piece| {
            if self.is_over.load(Ordering::Relaxed) {
                return Ok(false);
            }
            is_too_long = !part.add(piece)?;
            if !is_too_long {
                gix::Count::inc_by(&bytes, piece.len());
            }
            Ok(!is_too_long)
        })?;
        if is_too_long {
            part.restart()?;
            return Err(Fault::Content(format!("the server sends more than {rest} bytes")));
        }
        if !is_taken {
            return Err(Fault::Over);
        }
        match part.rest() {
            0 => Ok(()),
            missing => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the connection ended {missing} bytes before the end"),
            )
            .into()),
        }
    }
}

/// Whether an answer is what is missing of a part.
fn is_rest(reply: &Reply, part: &Part) -> bool {
    part.length() > 0
        && reply.range_start() == Some(part.length())
        && reply.content_length().is_none_or(|length| length == part.rest())
}
