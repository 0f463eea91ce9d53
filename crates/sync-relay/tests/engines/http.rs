//! Files over HTTP, by nginx.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::mpsc;

use sync_core::Secret;
use sync_relay::engine::{Login, Swap};
use tempfile::TempDir;

use crate::support::{Pack, Place, Process, await_port, eventually, free_port, interrupt, packaged};

/// nginx, with the files of a directory that a feeder writes.
pub struct Nginx {
    dir: TempDir,
    port: u16,
    _process: Process,
}

impl Nginx {
    /// With directives for the location of the files.
    fn start(directives: &str) -> Nginx {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let root = dir.path();
        fs_err::create_dir(root.join("files")).unwrap();
        fs_err::set_permissions(root, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        fs_err::write(root.join("htpasswd"), "me:{PLAIN}secret\n").unwrap();
        let shown = root.display();
        let config = format!(
            "pid {shown}/pid; error_log {shown}/error; worker_processes 1; daemon off;
             events {{}}
             http {{
               access_log {shown}/access; client_body_temp_path {shown}/body; proxy_temp_path {shown}/proxy;
               fastcgi_temp_path {shown}/fcgi; uwsgi_temp_path {shown}/uwsgi; scgi_temp_path {shown}/scgi;
               log_format own '$status $bytes_sent $http_authorization';
               gzip on; gzip_types application/json;
               server {{
                 listen 127.0.0.1:{port}; root {shown}/files;
                 location / {{ {directives} }}
               }}
             }}"
        );
        fs_err::write(root.join("config"), config).unwrap();
        let program = packaged("/usr/sbin/nginx", "nginx-light");
        let process = Process::start(Command::new(program).arg("-c").arg(root.join("config")));
        await_port(port);
        Nginx { dir, port, _process: process }
    }

    fn feeder(&self) -> Place {
        Place::new(format!("file://{}", self.files().display()), Login::None)
    }

    fn files(&self) -> std::path::PathBuf {
        self.dir.path().join("files")
    }

    fn place(&self, login: Login) -> Place {
        Place::new(format!("http://127.0.0.1:{}/", self.port), login)
    }

    /// The status codes of the answers so far.
    fn statuses(&self) -> Vec<String> {
        let log = fs_err::read_to_string(self.dir.path().join("access")).unwrap();
        let status =
            |line: &str| line.rsplit('"').nth(4).and_then(|rest| rest.split(' ').nth(1).map(Into::into));
        log.lines().filter_map(status).collect()
    }
}

#[test]
fn what_a_feeder_writes_into_a_directory_is_read() {
    let nginx = Nginx::start("");
    let (mut feeder, mut engine) = (nginx.feeder().engine("a"), nginx.place(Login::None).engine("a"));
    let interrupt = interrupt();
    assert_eq!(engine.tip(&interrupt).unwrap(), None);
    let Swap::Done(first) = feeder.swap(b"one", None, &interrupt).unwrap() else { panic!() };
    let one = engine.tip(&interrupt).unwrap().unwrap();
    assert_eq!(one.bytes, b"one");
    assert_eq!(engine.tip(&interrupt).unwrap().unwrap(), one);
    feeder.swap(b"two two", Some(&first), &interrupt).unwrap();
    assert_eq!(engine.tip(&interrupt).unwrap().unwrap().bytes, b"two two");
    eventually("the log", || (nginx.statuses() == ["404", "200", "304", "200"]).then_some(()));
    for size in [0, 100_000, 5_000_000] {
        let mut pack = Pack::of(size, 1);
        assert_eq!(pack.get(engine.as_mut()).unwrap_err().kind(), ErrorKind::NotFound);
        pack.put(feeder.as_mut()).unwrap();
        pack.assert_read(engine.as_mut());
    }
    assert!(engine.is_connected());
}

#[test]
fn it_is_not_written() {
    let nginx = Nginx::start("");
    let mut engine = nginx.place(Login::None).engine("a");
    let refused = engine.swap(b"one", None, &interrupt()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    assert!(refused.to_string().contains("can only be read"), "{refused}");
    assert_eq!(Pack::of(1, 1).put(engine.as_mut()).unwrap_err().kind(), ErrorKind::PermissionDenied);
}

#[test]
fn a_name_and_a_password_log_in() {
    let nginx = Nginx::start("auth_basic relay; auth_basic_user_file htpasswd;");
    nginx.feeder().engine("a").swap(b"one", None, &interrupt()).unwrap();
    let tip = |password: &str| {
        let login = Login::Password { username: "me".into(), password: password.into() };
        nginx.place(login).engine("a").tip(&interrupt())
    };
    assert_eq!(tip("secret").unwrap().unwrap().bytes, b"one");
    let refused = tip("wrong-word").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    assert!(!refused.to_string().contains("wrong-word"), "{refused}");
}

/// A server that tells what it was asked, and answers always the same.
fn answering(answer: String) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            let count = stream.read(&mut request).unwrap_or_default();
            let _ = sender.send(String::from_utf8_lossy(&request[..count]).into_owned());
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (url, requests)
}

#[test]
fn a_redirect_to_another_host_gets_no_login() {
    let (other, asked) =
        answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\none".into());
    let (url, first) = answering(format!(
        "HTTP/1.1 302 Found\r\nLocation: {other}/x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    ));
    let token = Login::Token(Secret::from("top-secret"));
    let record = Place::new(url, token).engine("a").tip(&interrupt()).unwrap().unwrap();
    assert_eq!(record.bytes, b"one");
    assert!(first.recv().unwrap().to_lowercase().contains("authorization: bearer top-secret"));
    let asked = asked.recv().unwrap().to_lowercase();
    assert!(asked.starts_with("get /x ") && !asked.contains("authorization"), "{asked}");
}

#[test]
fn a_tip_without_end_is_refused() {
    let long = "x".repeat(300 * 1024);
    let (url, _) = answering(format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{long}"));
    let refused = Place::new(url, Login::None).engine("a").tip(&interrupt()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::FileTooLarge, "{refused}");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let mut engine = Place::new(&url, Login::None).engine("a");
    let failed = engine.tip(&interrupt()).unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::NotConnected);
    assert!(failed.to_string().contains(&url) && !engine.is_connected(), "{failed}");
}

#[test]
fn an_interrupt_ends_a_wait() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let interrupt = interrupt();
    let stop = interrupt.clone();
    std::thread::spawn(move || {
        let _kept = listener.accept().unwrap();
        stop.trigger();
        std::thread::park();
    });
    let stopped = Place::new(url, Login::None).engine("a").tip(&interrupt).unwrap_err();
    assert_eq!(stopped.kind(), ErrorKind::TimedOut, "{stopped}");
}
