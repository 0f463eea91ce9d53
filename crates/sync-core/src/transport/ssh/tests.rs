//! Sessions with servers that behave unlike a stock sshd.

use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};

use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::server::{self, Auth, ChannelOpenHandle, Handle, Msg};
use russh::{Channel, ChannelId, ChannelOpenFailure, Disconnect, Error};
use tokio::net::TcpListener;

use super::*;
use crate::transport::ssh::options::HostKeys;

struct Server {
    lets_in: bool,
    /// How many channels it still opens.
    channels: usize,
    /// What happened to its channels.
    seen: mpsc::Sender<Seen>,
}

#[derive(Debug, PartialEq)]
enum Seen {
    Eof,
    Close,
}

impl server::Handler for Server {
    type Error = Error;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, Error> {
        if self.lets_in { Ok(Auth::Accept) } else { Err(Error::HUP) }
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), Error> {
        match self.channels.checked_sub(1) {
            Some(left) => {
                self.channels = left;
                reply.accept().await;
            }
            None => reply.reject(ChannelOpenFailure::ConnectFailed).await,
        }
        Ok(())
    }

    async fn channel_eof(&mut self, channel: ChannelId, session: &mut server::Session) -> Result<(), Error> {
        let _ = self.seen.send(Seen::Eof);
        self.channels += 1;
        session.close(channel)
    }

    async fn channel_close(&mut self, _: ChannelId, _: &mut server::Session) -> Result<(), Error> {
        let _ = self.seen.send(Seen::Close);
        Ok(())
    }
}

fn key() -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32]))
}

/// Serve sessions of so many channels each. Returns the port, the server's side of each session, and a log of events.
fn serve(lets_in: bool, channels: usize) -> (u16, mpsc::Receiver<Handle>, mpsc::Receiver<Seen>) {
    let (port_sender, port) = mpsc::channel();
    let (handle_sender, handle) = mpsc::channel();
    let (seen_sender, seen) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            port_sender.send(listener.local_addr().unwrap().port()).unwrap();
            let config = Arc::new(server::Config { keys: vec![key()], ..server::Config::default() });
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let server = Server { lets_in, channels, seen: seen_sender.clone() };
                let session = server::run_stream(config.clone(), stream, server).await.unwrap();
                let _ = handle_sender.send(session.handle());
                tokio::spawn(session);
            }
        });
    });
    (port.recv().unwrap(), handle, seen)
}

fn url(port: u16) -> SshUrl {
    let url: crate::url::RemoteUrl = format!("ssh://me@127.0.0.1:{port}/x").parse().unwrap();
    let crate::url::Kind::Ssh(url) = url.0 else { panic!("{url}") };
    url
}

fn budget() -> ReadBudget {
    ReadBudget::new(crate::resources::Resources::default())
}

fn start(port: u16, ssh: SshOptions) -> Result<Session, Failure> {
    Session::start(&url(port), &ssh, None, &Interrupt::default())
}

fn open(session: &Session) -> Result<Box<dyn Transport + Send>, Failure> {
    channel::open(session, session.channels.reserve().unwrap(), "/x", &Interrupt::default(), &budget())
}

/// A channel to the server, in any session.
fn channel(
    sessions: &Sessions,
    port: u16,
    ssh: &SshOptions,
    interrupt: &Interrupt,
) -> (Box<dyn Transport + Send>, Session) {
    connect(sessions, &url(port), (ssh, None), interrupt, &budget()).unwrap()
}

fn trusting() -> SshOptions {
    SshOptions { host_keys: HostKeys::Any, ..SshOptions::default() }
}

#[test]
fn no_channel_that_a_server_opens_is_accepted() {
    let (port, server, _) = serve(true, 9);
    let session = start(port, trusting()).unwrap();
    let server = server.recv().unwrap();
    let asking = async move {
        [
            server.channel_open_session().await,
            server.channel_open_agent().await,
            server.channel_open_x11("h", 1).await,
            server.channel_open_direct_tcpip("h", 1, "h", 1).await,
            server.channel_open_direct_streamlocal("/s").await,
            server.channel_open_forwarded_tcpip("h", 1, "h", 1).await,
            server.channel_open_forwarded_streamlocal("/s").await,
        ]
    };
    for answer in session.runtime.wait(&Interrupt::default(), asking).unwrap() {
        let prohibited = ChannelOpenFailure::AdministrativelyProhibited;
        assert!(matches!(answer, Err(Error::ChannelOpenFailure(reason)) if reason == prohibited));
    }
}

#[test]
fn a_session_that_ends_says_why() {
    let (port, server, _) = serve(true, 9);
    let session = start(port, trusting()).unwrap();
    let server = server.recv().unwrap();
    let dismissal = async move {
        server.disconnect(Disconnect::ByApplication, "closed for today".into(), String::new()).await
    };
    session.runtime.wait(&Interrupt::default(), dismissal).unwrap().unwrap();
    while session.is_good() {
        std::thread::yield_now();
    }
    match open(&session) {
        Err(Failure::Io(err)) => {
            assert_eq!(err.to_string(), "the SSH session ended: the server says: closed for today");
        }
        _ => panic!("a channel over a session that ended"),
    }
}

#[test]
fn a_server_that_is_lost_during_the_login_refused_nobody() {
    let (port, ..) = serve(false, 9);
    match start(port, trusting()) {
        Err(Failure::Io(err)) => assert!(err.to_string().contains("the SSH session ended: "), "{err}"),
        Err(Failure::Refused(text)) => panic!("{text}"),
        _ => panic!("the server lets no user in"),
    }
}

#[test]
fn a_channel_is_closed_by_the_server() {
    let (port, _, seen) = serve(true, 9);
    let session = start(port, trusting()).unwrap();
    for _ in 0..3 {
        drop(open(&session).unwrap());
        assert_eq!(seen.recv().unwrap(), Seen::Eof);
    }
    assert_eq!(session.leaked.load(Ordering::Relaxed), 0);
    assert!(seen.try_iter().all(|seen| seen == Seen::Close));
}

#[test]
fn repositories_with_one_login_share_a_session() {
    let (port, server, _) = serve(true, 9);
    let (sessions, interrupt) = (Sessions::default(), Interrupt::default());
    let channels: Vec<_> =
        (0..5).map(|_| channel(&sessions.clone(), port, &trusting(), &interrupt)).collect();
    assert!(channels[..4].iter().all(|(_, session)| session.is_same(&channels[0].1)));
    assert!(!channels[4].1.is_same(&channels[0].1), "a session has four channels at once");
    assert_eq!(server.try_iter().count(), 2);
}

#[test]
fn a_session_is_for_one_login_and_one_list_of_hosts() {
    let (port, server, _) = serve(true, 9);
    let (sessions, interrupt) = (Sessions::default(), Interrupt::default());
    let dir = tempfile::tempdir().unwrap();
    let hosts = dir.path().join("known_hosts");
    let line = format!("[127.0.0.1]:{port} {}\n", key().public_key().to_openssh().unwrap());
    fs_err::write(&hosts, line).unwrap();
    let others = [
        SshOptions { keys: vec![dir.path().join("key")], keys_are_optional: true, ..trusting() },
        SshOptions { agent: Some(dir.path().join("agent")), ..trusting() },
        SshOptions { host_keys: HostKeys::File(hosts), ..SshOptions::default() },
    ];
    for ssh in [trusting()].iter().chain(&others).chain(&others) {
        channel(&sessions, port, ssh, &interrupt);
    }
    assert_eq!(server.try_iter().count(), 4);
}

#[test]
fn a_server_that_refuses_a_second_channel_gets_another_session() {
    let (port, server, _) = serve(true, 1);
    let (sessions, interrupt) = (Sessions::default(), Interrupt::default());
    let channels: Vec<_> = (0..3).map(|_| channel(&sessions, port, &trusting(), &interrupt)).collect();
    assert_eq!(server.try_iter().count(), 3);
    assert!(channels[..2].iter().all(|(_, session)| session.channels.reserve().is_none()), "it is known now");
}

#[test]
fn an_interrupt_ends_only_the_channel_of_its_repository() {
    let (port, server, seen) = serve(true, 9);
    let (sessions, first, second) = (Sessions::default(), Interrupt::new(), Interrupt::new());
    let (mut stopped, session) = channel(&sessions, port, &trusting(), &first);
    let (other, same) = channel(&sessions, port, &trusting(), &second);
    assert!(session.is_same(&same));
    // While it waits for the server: an interrupt before that says nothing about the session.
    let trigger = std::thread::spawn(move || {
        std::thread::park_timeout(std::time::Duration::from_millis(200));
        first.trigger();
    });
    let service = gix::protocol::transport::Service::UploadPack;
    assert!(stopped.handshake(service, &[]).is_err(), "the server says nothing");
    trigger.join().unwrap();
    assert!(!session.is_good(), "it may hang");
    assert_eq!(seen.recv().unwrap(), Seen::Close);
    same.runtime.saw_life();
    assert!(session.is_good(), "the other one has heard from it");
    drop((stopped, other));
    channel(&sessions, port, &trusting(), &second);
    assert_eq!(server.try_iter().count(), 1);
}
