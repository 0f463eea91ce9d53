//! Sessions with servers that behave unlike a stock sshd.

use std::sync::atomic::Ordering;
use std::sync::mpsc;

use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::server::{self, Auth, ChannelOpenHandle, Handle, Msg};
use russh::{Channel, ChannelId, ChannelOpenFailure, Disconnect, Error};
use tokio::net::TcpListener;

use super::*;
use crate::transport::ssh::options::HostKeys;

struct Server {
    lets_in: bool,
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
        reply.accept().await;
        Ok(())
    }

    async fn channel_eof(&mut self, channel: ChannelId, session: &mut server::Session) -> Result<(), Error> {
        let _ = self.seen.send(Seen::Eof);
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

/// Serve one session. Returns its port, the server's side of it, and a log of events.
fn serve(lets_in: bool) -> (u16, mpsc::Receiver<Handle>, mpsc::Receiver<Seen>) {
    let (port_sender, port) = mpsc::channel();
    let (handle_sender, handle) = mpsc::channel();
    let (seen_sender, seen) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            port_sender.send(listener.local_addr().unwrap().port()).unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let config = server::Config { keys: vec![key()], ..server::Config::default() };
            let server = Server { lets_in, seen: seen_sender };
            let session = server::run_stream(config.into(), stream, server).await.unwrap();
            let handle = session.handle();
            let _ = handle_sender.send(handle);
            let _ = session.await;
        });
    });
    (port.recv().unwrap(), handle, seen)
}

fn start(port: u16, ssh: SshOptions) -> Result<Session, Failure> {
    let url: crate::url::RemoteUrl = format!("ssh://me@127.0.0.1:{port}/x").parse().unwrap();
    let crate::url::Kind::Ssh(url) = url.0 else { panic!("{url}") };
    Session::start(&url, &ssh, None, &Interrupt::default())
}

fn trusting() -> SshOptions {
    SshOptions { host_keys: HostKeys::Any, ..SshOptions::default() }
}

#[test]
fn no_channel_that_a_server_opens_is_accepted() {
    let (port, server, _) = serve(true);
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
    let (port, server, _) = serve(true);
    let session = start(port, trusting()).unwrap();
    let server = server.recv().unwrap();
    let dismissal = async move {
        server.disconnect(Disconnect::ByApplication, "closed for today".into(), String::new()).await
    };
    session.runtime.wait(&Interrupt::default(), dismissal).unwrap().unwrap();
    while session.is_good() {
        std::thread::yield_now();
    }
    match channel::open(
        &session,
        "/x",
        &Interrupt::default(),
        &ReadBudget::new(crate::resources::Resources::default()),
    ) {
        Err(Failure::Io(err)) => {
            assert_eq!(err.to_string(), "the SSH session ended: the server says: closed for today");
        }
        _ => panic!("a channel over a session that ended"),
    }
}

#[test]
fn a_server_that_is_lost_during_the_login_refused_nobody() {
    let (port, ..) = serve(false);
    match start(port, trusting()) {
        Err(Failure::Io(err)) => assert!(err.to_string().contains("the SSH session ended: "), "{err}"),
        Err(Failure::Refused(text)) => panic!("{text}"),
        Ok(_) => panic!("the server lets no user in"),
    }
}

#[test]
fn a_channel_is_closed_by_the_server() {
    let (port, _, seen) = serve(true);
    let session = start(port, trusting()).unwrap();
    for _ in 0..3 {
        drop(
            channel::open(
                &session,
                "/x",
                &Interrupt::default(),
                &ReadBudget::new(crate::resources::Resources::default()),
            )
            .unwrap(),
        );
        assert_eq!(seen.recv().unwrap(), Seen::Eof);
    }
    assert_eq!(session.leaked.load(Ordering::Relaxed), 0);
    assert!(seen.try_iter().all(|seen| seen == Seen::Close));
}
