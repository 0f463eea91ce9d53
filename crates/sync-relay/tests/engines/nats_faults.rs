//! NATS servers that are missing, incomplete or hostile.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Instant;

use sync_relay::engine::Login;

use crate::nats::{NatsServer, versions};
use crate::support::{Place, eventually, free_port, installed, interrupt};

#[test]
fn a_missing_bucket_is_not_there_now_and_explained_later() {
    std::thread::scope(|scope| {
        for program in versions() {
            scope.spawn(move || {
                let server = NatsServer::start(&program, &[]);
                let mut engine = server.place().engine("a");
                let started = Instant::now();
                let first = engine.tip(&interrupt()).unwrap_err();
                assert_eq!(first.kind(), ErrorKind::NotConnected, "{first}");
                assert!(!first.to_string().contains("no bucket") && engine.is_connected(), "{first}");
                let later = eventually("an explanation", || {
                    let err = engine.tip(&interrupt()).unwrap_err();
                    assert_eq!(err.kind(), ErrorKind::NotConnected, "{err}");
                    std::thread::sleep(std::time::Duration::from_millis(200));
                    err.to_string().contains("there is no bucket syncline").then_some(err)
                });
                assert!(started.elapsed().as_secs() >= 10, "{later}");
                engine.prepare(&interrupt()).unwrap();
                assert_eq!(engine.tip(&interrupt()).unwrap(), None);
            });
        }
    });
}

#[test]
fn a_stream_that_does_not_republish_is_an_error_that_says_what_to_do() {
    const SCRIPT: &str = "import asyncio, sys, nats
async def main():
    client = await nats.connect(sys.argv[1])
    await client.jetstream().create_key_value(bucket='syncline', direct=True)
    await client.close()
asyncio.run(main())";
    for program in versions() {
        let server = NatsServer::start(&program, &[]);
        let made = Command::new(installed("python")).args(["-c", SCRIPT, &server.url()]).status().unwrap();
        assert!(made.success());
        let refused = server.place().engine("a").prepare(&interrupt()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{refused}");
        let text = refused.to_string();
        assert!(text.contains("nats stream edit KV_syncline --republish-source="), "{text}");
    }
}

#[test]
fn a_server_that_is_not_there_is_named_and_found_when_it_comes() {
    let [_, program] = versions();
    let port = free_port();
    let mut engine = Place::new(format!("nats://127.0.0.1:{port}"), Login::None).engine("a");
    let failed = engine.tip(&interrupt()).unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::NotConnected);
    assert!(failed.to_string().contains(&format!("127.0.0.1:{port}: cannot connect: ")), "{failed}");
    let stop = interrupt();
    stop.trigger();
    assert_eq!(engine.tip(&stop).unwrap_err().kind(), ErrorKind::TimedOut);
    let _server = NatsServer::start_at(&program, port, &[]);
    eventually("a connection", || engine.prepare(&interrupt()).ok());
}

/// A server that greets, and then says this to each request.
fn saying(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || serve(stream, answer));
        }
    });
    url
}

fn serve(mut stream: TcpStream, answer: &[u8]) -> std::io::Result<()> {
    let info = r#"{"server_id":"x","version":"2.15.1","max_payload":1048576,"headers":true,"proto":1,
        "connect_urls":["203.0.113.1:4222"]}"#;
    stream.write_all(format!("INFO {}\r\n", info.replace('\n', "")).as_bytes())?;
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer)?;
        let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
        if count == 0 {
            return Ok(());
        }
        if text.contains("PING\r\n") {
            stream.write_all(b"PONG\r\n")?;
        }
        if text.contains("PUB ") {
            stream.write_all(answer)?;
        }
    }
}

#[test]
fn hostile_servers_are_errors_and_not_the_end() {
    let answers = [
        &b"MSG x 1 "[..],
        b"MSG x 1 4294967296\r\nxx",
        b"MSG x 1 18446744073709551615\r\nxx",
        b"MSG x 1 18446744073709551600\r\nxx",
        b"HMSG x 1 99 5\r\nNATS/1.0\r\n\r\n",
        b"HMSG x 1 5 99999999999999999999\r\n",
        b"MSG unknown 77 2\r\nxx\r\n",
        b"-ERR 'Permissions Violation for Publish to \"$JS.API.DIRECT.GET.KV_syncline.$KV.syncline.tip.a\"'\r\n",
        b"-ERR 'x'\r\n-ERR 'y'\r\n",
        b"INFO {\r\n",
        b"\0\0\0\0\r\n",
    ];
    let ask = |answer: &'static [u8]| {
        let mut engine = Place::new(saying(answer), Login::None).engine("a");
        for _ in 0..2 {
            let failed = engine.tip(&interrupt()).unwrap_err();
            let is_known = matches!(failed.kind(), ErrorKind::NotConnected | ErrorKind::PermissionDenied);
            assert!(is_known, "{}: {failed:?}", String::from_utf8_lossy(answer));
            assert!(!failed.to_string().contains(char::is_control), "{failed}");
        }
    };
    std::thread::scope(|scope| answers.into_iter().for_each(|answer| _ = scope.spawn(move || ask(answer))));
}
