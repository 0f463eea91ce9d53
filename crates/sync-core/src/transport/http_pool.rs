//! Kept HTTP connections. The unit is an agent with its idle connection, which one user at a time leases: so each wait
//! follows the interrupt of the request at hand.

use std::fmt;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Response;
use ureq::{Agent, Body, BodyReader};

use super::answer::{Plain, transport_error};
use super::connector::{AgentState, Dialler, agent, agent_config};
use super::http_options::ConnectionOptions;
use super::lines::{self, Lines};
use super::options::ConnectOptions;
use super::redirect::origin;
use super::requests::RequestObserver;
use super::socket::WaitPolicy;
use super::tls::{Tls, TlsOptions};
use crate::interrupt::Interrupt;
use crate::url::scope::UrlScope;

/// The most idle agents for one key, and of all keys. Each has some 25 KiB of buffers, and as much again for TLS.
const MOST_IDLE: (usize, usize) = (2, 32);

/// The most TLS configurations that are kept.
const MOST_TLS: usize = 16;

/// The most readers of lines that are kept. Each has 128 KiB.
const MOST_LINES: usize = 2;

/// How often the end of an answer is waited for before its connection is given up: for some tenths of a second.
const TURNS_TO_END: usize = 3;

/// Who may share a connection: requests to one place with the same settings.
#[derive(Debug, PartialEq)]
struct Key {
    /// `None` if the URL is invalid, so that nothing is ever sent.
    origin: Option<UrlScope>,
    options: Arc<ConnectionOptions>,
}

/// Idle agents, of which a request leases one, or else a new one. Clones share them.
#[derive(Clone)]
pub(crate) struct HttpPool {
    /// The least recently used one is the first.
    idle: Arc<Mutex<Vec<Idle>>>,
    tls: Arc<Mutex<Vec<Arc<Tls>>>>,
    lines: Arc<Mutex<Vec<Lines>>>,
    most: (usize, usize),
    parent: Option<Box<HttpPool>>,
}

/// An agent and what its connections are made with.
#[derive(Clone)]
struct Member {
    key: Arc<Key>,
    agent: Agent,
    tls: [Arc<Tls>; 2],
    state: Arc<AgentState>,
}

struct Idle {
    member: Member,
    /// The last answer, whose end was not read yet: to wait for it when it comes would delay its user for nothing.
    unread: Option<BodyReader<'static>>,
}

impl Default for HttpPool {
    fn default() -> Self {
        HttpPool {
            idle: Arc::default(),
            tls: Arc::default(),
            lines: Arc::default(),
            most: MOST_IDLE,
            parent: None,
        }
    }
}

impl HttpPool {
    /// A pool for a number of requests at once. It leases idle agents of this one, too, and those that it makes go with
    /// it.
    pub(super) fn for_transfers(&self, count: usize) -> HttpPool {
        let (most, parent) = ((count, 2 * count), Some(Box::new(self.clone())));
        HttpPool { idle: Arc::default(), tls: self.tls.clone(), lines: self.lines.clone(), most, parent }
    }

    /// An agent for a URL: an idle one, or else a new one.
    pub(super) fn lease(&self, url: &str, options: ConnectionOptions, user: User) -> Arc<Lease> {
        let key = Key { origin: origin(url), options: options.into() };
        for pool in std::iter::successors(Some(self), |pool| pool.parent.as_deref()) {
            while let Some(Idle { member, unread }) = pool.take(&key) {
                if is_usable(&member.state, unread, &user.interrupt) {
                    return Lease::of(pool, member, true, user);
                }
            }
        }
        Lease::of(self, self.new_member(key.into()), false, user)
    }

    pub(super) fn lines(&self) -> Lines {
        let kept = self.lines.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(lines::new)
    }

    pub(super) fn keep_lines(&self, mut lines: Lines) {
        lines::clear(&mut lines); // gives its connection back, so this has to be before the lock
        let mut kept = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MOST_LINES {
            kept.push(lines);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, key: &Key) -> Option<Idle> {
        let mut idle = self.lock();
        let at = idle.iter().rposition(|idle| *idle.member.key == *key)?;
        Some(idle.remove(at))
    }

    fn keep(&self, new: Idle) {
        let (most_of_key, most) = self.most;
        let mut idle = self.lock();
        let is_same = |other: &Idle| other.member.key == new.member.key;
        let surplus = if idle.iter().filter(|other| is_same(other)).count() >= most_of_key {
            idle.iter().position(is_same)
        } else {
            (idle.len() >= most).then_some(0)
        };
        let dropped = surplus.map(|at| idle.remove(at));
        idle.push(new);
        drop((idle, dropped)); // the lock first: to close a connection takes time
    }

    fn new_member(&self, key: Arc<Key>) -> Member {
        let options = &key.options;
        let config = agent_config(options)
            .max_redirects(0)
            // Polls may be hours apart; the server decides how long a connection stays open.
            .max_idle_age(Duration::from_secs(365 * 24 * 3600))
            .max_idle_connections(1)
            .input_buffer_size(16 * 1024)
            .output_buffer_size(8 * 1024)
            .build();
        let (tls, proxy_tls) = (self.tls(options.tls.clone()), self.tls(options.proxy_tls()));
        let state = Arc::new(AgentState::default());
        let dialler = Dialler {
            options: options.clone(),
            tls: tls.clone(),
            proxy_tls: proxy_tls.clone(),
            state: state.clone(),
        };
        Member { agent: agent(config, dialler), tls: [tls, proxy_tls], state, key }
    }

    /// The TLS configuration for these settings, which all agents share.
    fn tls(&self, options: TlsOptions) -> Arc<Tls> {
        let mut kept = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.iter().position(|tls| *tls.options() == options).map(|at| kept.remove(at));
        if known.is_none() && kept.len() == MOST_TLS {
            kept.remove(0);
        }
        let tls = known.unwrap_or_else(|| Tls::new(options).into());
        kept.push(tls.clone());
        tls
    }
}

impl fmt::Debug for HttpPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpPool").field("idle", &self.lock().len()).finish_non_exhaustive()
    }
}

/// Whether an idle agent has a connection on which the last answer is over.
fn is_usable(state: &AgentState, unread: Option<BodyReader<'_>>, interrupt: &Interrupt) -> bool {
    if let Some(mut unread) = unread {
        let turns = AtomicUsize::new(0);
        let is_over = move || turns.fetch_add(1, Ordering::Relaxed) > TURNS_TO_END;
        state.set_wait_policy(WaitPolicy::new(interrupt).until(is_over));
        if !matches!(unread.read(&mut [0]), Ok(0)) {
            return false;
        }
    }
    state.has_connection()
}

/// Who leases an agent.
#[derive(Clone)]
pub(super) struct User {
    interrupt: Interrupt,
    requests: RequestObserver,
}

impl User {
    pub(super) fn new(options: &ConnectOptions, interrupt: &Interrupt) -> User {
        User { interrupt: interrupt.clone(), requests: options.requests.clone() }
    }
}

/// The use of an agent, which goes back to its pool afterwards if it still has a connection.
pub(super) struct Lease {
    pool: HttpPool,
    member: Member,
    user: User,
    is_reused: bool,
    has_failed: AtomicBool,
    unread: Mutex<Option<BodyReader<'static>>>,
}

impl Lease {
    fn of(pool: &HttpPool, member: Member, is_reused: bool, user: User) -> Arc<Lease> {
        member.state.set_wait_policy(WaitPolicy::new(&user.interrupt));
        Arc::new(Lease {
            pool: pool.clone(),
            member,
            user,
            is_reused,
            has_failed: AtomicBool::new(false),
            unread: Mutex::default(),
        })
    }

    /// A new agent in place of this one, whose connection was lost.
    pub(super) fn renewed(&self) -> Arc<Lease> {
        let member = self.pool.new_member(self.member.key.clone());
        Lease::of(&self.pool, member, false, self.user.clone())
    }

    /// Send a request. Without an answer, a file for TLS may have been wrong, and be right the next time.
    pub(super) fn send(
        &self,
        send: impl FnOnce(&Agent) -> Result<Response<Body>, ureq::Error>,
    ) -> io::Result<Response<Body>> {
        let answered = send(&self.member.agent);
        self.user.requests.answered(&answered);
        if answered.is_err() {
            self.has_failed.store(true, Ordering::Relaxed);
            self.member.tls.iter().for_each(|tls| tls.forget());
        }
        answered.map_err(transport_error)
    }

    /// Whether its connection was used before.
    pub(super) fn is_reused(&self) -> bool {
        self.is_reused
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.member.state.set_wait_policy(WaitPolicy::default());
        if !self.has_failed.load(Ordering::Relaxed) && self.member.state.has_connection() {
            let unread = self.unread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
            self.pool.keep(Idle { member: self.member.clone(), unread });
        }
    }
}

/// The body of an answer. The lease lasts at least as long.
pub(super) struct LeasedBody {
    reader: Option<Plain<BodyReader<'static>>>,
    lease: Arc<Lease>,
}

impl LeasedBody {
    pub(super) fn new(body: Body, lease: &Arc<Lease>) -> Self {
        LeasedBody { reader: Some(Plain(body.into_reader())), lease: lease.clone() }
    }
}

impl Read for LeasedBody {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(reader) = &mut self.reader else { return Ok(0) };
        let read = reader.read(buf);
        match &read {
            Err(_) => self.lease.has_failed.store(true, Ordering::Relaxed),
            Ok(0) if !buf.is_empty() => self.reader = None,
            Ok(_) => {}
        }
        read
    }
}

impl Drop for LeasedBody {
    fn drop(&mut self) {
        if let Some(Plain(reader)) = self.reader.take() {
            *self.lease.unread.lock().unwrap_or_else(PoisonError::into_inner) = Some(reader);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use super::*;
    use crate::transport::options::{ConnectOptions, HttpSetting};

    fn serve() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let answer = |mut stream: &std::net::TcpStream| {
                let read = stream.read(&mut [0; 4096]).unwrap_or_default();
                (read > 0).then(|| stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"))
            };
            for stream in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || while answer(&stream).is_some() {});
            }
        });
        url
    }

    /// Send a request and read the answer, which still has its lease.
    fn used(lease: Arc<Lease>, url: &str) -> LeasedBody {
        let mut body =
            LeasedBody::new(lease.send(|agent| agent.get(url).call()).unwrap().into_body(), &lease);
        body.read_to_end(&mut Vec::new()).unwrap();
        body
    }

    fn lease(pool: &HttpPool, url: &str, user_agent: usize) -> Arc<Lease> {
        let setting = HttpSetting::UserAgent(user_agent.to_string());
        let options = ConnectOptions { http_overrides: vec![setting], ..ConnectOptions::default() };
        let user = User::new(&options, &Interrupt::new());
        pool.lease(url, options.http_for(url).connection, user)
    }

    #[test]
    fn few_idle_agents_are_kept() {
        let (url, pool) = (serve(), HttpPool::default());
        let of_one: Vec<_> = (0..4).map(|_| used(lease(&pool, &url, 0), &url)).collect();
        drop(of_one);
        assert_eq!(pool.lock().len(), MOST_IDLE.0);
        (0..40).for_each(|user| drop(used(lease(&pool, &url, user), &url)));
        assert_eq!(pool.lock().len(), MOST_IDLE.1);
        assert!(!lease(&pool, &url, 0).is_reused(), "the least recently used one is dropped");
        assert!(lease(&pool, &url, 39).is_reused());
        drop(lease(&pool, &url, 41));
        assert_eq!(pool.lock().len(), MOST_IDLE.1, "an agent without a connection is of no use");
    }

    #[test]
    fn transfers_borrow_idle_agents_and_keep_their_own_to_themselves() {
        let (url, pool) = (serve(), HttpPool::default());
        drop(used(lease(&pool, &url, 0), &url));
        let transfers = pool.for_transfers(4);
        let bodies: Vec<_> = (0..4).map(|_| used(lease(&transfers, &url, 0), &url)).collect();
        assert_eq!(pool.lock().len(), 0);
        drop(bodies);
        assert_eq!((pool.lock().len(), transfers.lock().len()), (1, 3));
    }

    #[test]
    fn tls_settings_are_read_once_for_all_and_again_after_a_failure() {
        let (url, pool) = (serve(), HttpPool::default());
        let (one, other) = (lease(&pool, &url, 1), lease(&pool, &url, 2));
        assert!(Arc::ptr_eq(&one.member.tls[0], &other.member.tls[0]));
        let tls = |text: &str| TlsOptions { client_cert: Some(text.into()), ..TlsOptions::default() };
        assert!(!Arc::ptr_eq(&pool.tls(tls("a")), &pool.tls(tls("b"))));
        let config = one.member.tls[0].config().unwrap();
        assert!(Arc::ptr_eq(&config, &other.member.tls[0].config().unwrap()));
        let _ = other.send(|_| Err(ureq::Error::HostNotFound));
        assert!(!Arc::ptr_eq(&config, &one.member.tls[0].config().unwrap()));
    }
}
