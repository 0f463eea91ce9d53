//! The two streams of a bucket, and how they are made.

use std::io;

use serde_json::{Value, json};

use super::api::Answer;
use super::connection::Connection;

/// Copies of a stream in a cluster.
const REPLICAS: u32 = 3;

/// Errors of a server that is alone, and of a cluster that is too small.
const TOO_FEW_SERVERS: [u64; 3] = [10074, 10005, 10023];

/// The stream of the tips.
pub(super) fn keys(bucket: &str) -> String {
    format!("KV_{bucket}")
}

/// The stream of the packs.
pub(super) fn objects(bucket: &str) -> String {
    format!("OBJ_{bucket}")
}

/// Make the streams if they are missing. Those that are there stay as they are, if they can be used.
pub(super) async fn prepare(connection: &Connection, bucket: &str) -> io::Result<()> {
    let (source, news) = (format!("$KV.{bucket}.>"), format!("{bucket}.news.>"));
    let republish = json!({ "src": source, "dest": news });
    let name = keys(bucket);
    let own = json!({
        "subjects": [source], "max_msgs_per_subject": 1, "deny_delete": true, "republish": republish
    });
    if let Some(found) = ensure(connection, &name, own).await?
        && ["src", "dest"].iter().any(|key| found["republish"][key] != republish[key])
    {
        let way = format!("--republish-source='{source}' --republish-destination='{news}'");
        return Err(unsuitable(connection, &name, &way));
    }
    let subjects = [format!("$O.{bucket}.C.>"), format!("$O.{bucket}.M.>")];
    ensure(connection, &objects(bucket), json!({ "subjects": subjects })).await.map(|_| ())
}

/// Make a stream unless it is there. Returns the configuration of one that is.
async fn ensure(connection: &Connection, name: &str, own: Value) -> io::Result<Option<Value>> {
    let found = match connection.ask("INFO", name, &Value::Null).await {
        // Whoever may not ask does not make it, either.
        Err(err) if err.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
        found => found?,
    };
    match found {
        Answer::Value(mut found) => {
            let found = found["config"].take();
            if found["allow_direct"] != true {
                return Err(unsuitable(connection, name, "--allow-direct"));
            }
            Ok(Some(found))
        }
        Answer::NoStream => create(connection, name, own).await.map(|()| None),
        Answer::Failed { error, .. } => Err(error),
    }
}

async fn create(connection: &Connection, name: &str, own: Value) -> io::Result<()> {
    let mut config = json!({
        "name": name, "retention": "limits", "storage": "file", "discard": "new", "num_replicas": REPLICAS,
        "max_consumers": -1, "max_msgs": -1, "max_bytes": -1, "max_age": 0, "max_msg_size": -1,
        "allow_rollup_hdrs": true, "allow_direct": true
    });
    if let (Value::Object(config), Value::Object(own)) = (&mut config, own) {
        config.extend(own);
    }
    match connection.ask("CREATE", name, &config).await? {
        Answer::Failed { code, .. } if TOO_FEW_SERVERS.contains(&code) => {
            config["num_replicas"] = 1.into();
            connection.demand("CREATE", name, &config).await?;
            tracing::info!("{name} has one copy, since there are fewer than {REPLICAS} servers");
            Ok(())
        }
        Answer::Failed { error, .. } => Err(error),
        Answer::Value(_) | Answer::NoStream => Ok(()),
    }
}

fn unsuitable(connection: &Connection, name: &str, options: &str) -> io::Error {
    let text = format!("the stream {name} is not set up for a relay; do: nats stream edit {name} {options}");
    connection.health.error(io::ErrorKind::InvalidInput, &text)
}
