//! Stock servers on loopback: nginx with git http-backend, and git daemon.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{eventually, isolated_git, text};

/// Serves every repository below a directory over HTTP, and over HTTPS with a CA of its own.
///
/// `/x` speaks the protocol the client asks for, `/v0/x` the oldest and `/v1/x` the next. Under `/login/` a password is wanted:
/// `user`, `p@ss`; under `/token/` a header `Authorization` and under `/cookie/` a header `Cookie` that is admitted.
pub struct Nginx {
    dir: PathBuf,
    port: u16,
    tls_port: u16,
    children: Vec<Child>,
}

impl Nginx {
    pub fn start(base: &Path) -> Nginx {
        Nginx::with(base, 2, "")
    }

    /// With a certificate that is valid for so many days, and further directives of the server.
    pub fn with(base: &Path, days: i32, directives: &str) -> Nginx {
        let dir = base.join(".nginx");
        fs::create_dir_all(dir.join("admitted")).unwrap();
        make_certificates(&dir, days);
        fs::write(dir.join("passwords"), "user:{PLAIN}p@ss\n").unwrap();
        let (port, tls_port) = (free_port(), free_port());
        let directives = directives.replace("{dir}", dir.to_str().unwrap());
        fs::write(dir.join("nginx.conf"), config(base, &dir, port, tls_port, &directives)).unwrap();
        let socket = format!("unix:{}/fcgi.sock", dir.display());
        let mut fcgiwrap = Command::new("fcgiwrap");
        let fcgiwrap = fcgiwrap.args(["-c", "2", "-s", &socket]).process_group(0).quiet().spawn();
        let children = vec![fcgiwrap.expect("fcgiwrap is installed"), spawn_nginx(&dir)];
        await_port(port);
        // fcgiwrap's socket must be reachable by nginx's workers, whoever they run as.
        eventually("fcgiwrap's socket", || dir.join("fcgi.sock").exists().then_some(()));
        Nginx { dir, port, tls_port, children }
    }

    /// Close every connection and take no more.
    pub fn stop(&mut self) {
        self.children.pop().into_iter().for_each(end);
    }

    /// Go on where it stopped, at the same ports.
    pub fn go_on(&mut self) {
        self.children.push(spawn_nginx(&self.dir));
        await_port(self.port);
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    pub fn tls_url(&self, path: &str) -> String {
        format!("https://localhost:{}/{path}", self.tls_port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn tls_port(&self) -> u16 {
        self.tls_port
    }

    pub fn ca_file(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// The certificate of the server and of clients, and its key.
    pub fn certificate(&self) -> (PathBuf, PathBuf) {
        (self.dir.join("server.pem"), self.dir.join("server.key"))
    }

    /// From now on such a header is let in.
    pub fn admit(&self, header: &str) {
        fs::write(self.dir.join("admitted").join(header), "").unwrap();
    }

    /// And from now on no more.
    pub fn refuse(&self, header: &str) {
        fs::remove_file(self.dir.join("admitted").join(header)).unwrap();
    }

    /// One line a request: client port, method, URI, status, bytes received, bytes sent, and when it was answered.
    pub fn requests(&self) -> Vec<String> {
        self.log("access.log")
    }

    /// One line a request: the answer's encoding, and what the client calls itself.
    pub fn encodings(&self) -> Vec<String> {
        self.log("more.log")
    }

    fn log(&self, name: &str) -> Vec<String> {
        text(&fs::read(self.dir.join(name)).unwrap_or_default()).lines().map(Into::into).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.children.drain(..).for_each(end);
    }
}

fn spawn_nginx(dir: &Path) -> Child {
    let mut nginx = Command::new("nginx");
    nginx.arg("-c").arg(dir.join("nginx.conf")).arg("-p").arg(dir);
    nginx.process_group(0).quiet().spawn().expect("nginx is installed")
}

/// Its children too, which fcgiwrap does not tell.
fn end(mut child: Child) {
    let group = rustix::process::Pid::from_child(&child);
    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
    let _ = child.wait();
}

fn config(base: &Path, dir: &Path, port: u16, tls_port: u16, directives: &str) -> String {
    let backend = PathBuf::from(text(&isolated_git().arg("--exec-path").output().unwrap().stdout).trim())
        .join("git-http-backend");
    let location = |prefix: &str, protocol: &str, extra: &str| {
        format!(
            "location ~ ^{prefix}(/.*)$ {{ {extra}
                fastcgi_pass unix:{dir}/fcgi.sock; fastcgi_read_timeout 600; fastcgi_buffering off; client_max_body_size 0;
                fastcgi_param SCRIPT_FILENAME {backend};
                fastcgi_param REQUEST_METHOD $request_method; fastcgi_param QUERY_STRING $query_string;
                fastcgi_param CONTENT_TYPE $content_type; fastcgi_param CONTENT_LENGTH $content_length;
                fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;
                fastcgi_param GIT_HTTP_EXPORT_ALL 1; fastcgi_param GIT_PROJECT_ROOT {base};
                fastcgi_param GIT_CONFIG_COUNT 1; fastcgi_param GIT_CONFIG_KEY_0 safe.directory;
                fastcgi_param GIT_CONFIG_VALUE_0 *; fastcgi_param PATH_INFO $1; {protocol} }}",
            dir = dir.display(),
            base = base.display(),
            backend = backend.display(),
        )
    };
    let admitted =
        |header: &str| format!("if (!-f \"{}/admitted/$http_{header}\") {{ return 401; }}", dir.display());
    // Where it is not set, git takes it from the header by itself.
    let asked = "fastcgi_param GIT_PROTOCOL $http_git_protocol;";
    format!(
        "daemon off; worker_processes 1; pid {dir}/pid; error_log {dir}/error.log; {user}
        events {{ worker_connections 4096; }}
        http {{
            log_format own '$remote_port $request_method $request_uri $status $request_length $bytes_sent $msec';
            log_format more '$sent_http_content_encoding $http_user_agent';
            access_log {dir}/access.log own; access_log {dir}/more.log more;
            client_body_temp_path {dir}/body; fastcgi_temp_path {dir}/fcgi; proxy_temp_path {dir}/proxy;
            uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
            server {{
                listen 127.0.0.1:{port}; listen 127.0.0.1:{tls_port} ssl;
                ssl_certificate {dir}/server.pem; ssl_certificate_key {dir}/server.key;
                {directives}
                {v0} {v1} {login} {token} {cookie} {any}
            }}
        }}",
        dir = dir.display(),
        user = if rustix::process::geteuid().is_root() { "user root;" } else { "" },
        v0 = location("/v0", "fastcgi_param GIT_PROTOCOL version=0;", ""),
        v1 = location("/v1", "fastcgi_param GIT_PROTOCOL version=1;", ""),
        login = location(
            "/login",
            asked,
            &format!("auth_basic git; auth_basic_user_file {}/passwords;", dir.display())
        ),
        token = location("/token", asked, &admitted("authorization")),
        cookie = location("/cookie", asked, &admitted("cookie")),
        any = location("", asked, ""),
    )
}

/// A CA and a certificate of its making for localhost and example.com.
fn make_certificates(dir: &Path, days: i32) {
    fs::write(dir.join("san"), "subjectAltName=DNS:localhost,DNS:example.com\nbasicConstraints=CA:FALSE\n")
        .unwrap();
    let openssl = |args: &str| {
        let output = Command::new("openssl").args(args.split(' ')).current_dir(dir).output().unwrap();
        assert!(output.status.success(), "openssl {args}: {}", text(&output.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca"));
    openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"));
    let sign =
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile san -out server.pem";
    openssl(&format!("{sign} -days {days}"));
}

/// Serves every repository below a directory over git://.
pub struct GitDaemon {
    child: Child,
    port: u16,
}

impl GitDaemon {
    pub fn start(base: &Path) -> GitDaemon {
        // Somebody else may take the port before it does.
        eventually("git daemon", || GitDaemon::try_start(base, free_port()))
    }

    /// `None` if it cannot listen on the port.
    fn try_start(base: &Path, port: u16) -> Option<GitDaemon> {
        let mut child = isolated_git()
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "safe.directory")
            .env("GIT_CONFIG_VALUE_0", "*")
            .args(["daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1", "--verbose"])
            .arg(format!("--port={port}"))
            .arg(format!("--base-path={}", base.display()))
            .quiet()
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let listens = log.any(|line| line.contains("Ready to rumble"));
        std::thread::spawn(move || log.for_each(drop));
        let daemon = GitDaemon { child, port };
        listens.then_some(daemon)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self, path: &str) -> String {
        format!("git://127.0.0.1:{}/{path}", self.port)
    }
}

impl Drop for GitDaemon {
    fn drop(&mut self) {
        // `git daemon` runs as a child of git, which passes the signal on.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on, below those that the kernel gives to clients, and given only once.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id() * 97 + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + (number % 20_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

pub fn await_port(port: u16) {
    eventually("a server's port", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
}

pub trait Quiet {
    fn quiet(&mut self) -> &mut Self;
}

impl Quiet for Command {
    fn quiet(&mut self) -> &mut Self {
        self.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
    }
}
