//! The answers under a paused clock, without a socket.

use axum::body::to_bytes;
use axum::extract::RawQuery;
use axum::response::Response;
use sync_core::{CommitId, CommitInfo};
use tokio::time::{Instant, sleep};

use super::*;
use crate::status::{Outcome, Published, Status};

const MINUTE: Duration = Duration::from_secs(60);

fn shared(readyz_max_age: Duration) -> Shared {
    let status = Status::new("repo".into(), "main".into());
    let board = Board::of_one(Entry::new(status, true, readyz_max_age));
    Shared { board, waiting: Arc::new(Semaphore::new(changes::WAITING)) }
}

fn commit(letter: char) -> CommitId {
    letter.to_string().repeat(40).parse().unwrap()
}

impl Shared {
    fn status(&self) -> Status {
        self.board.repo("").unwrap().status
    }

    fn publish(&self, letter: char) {
        let info = CommitInfo { id: commit(letter), time: 0, subject: "news".into() };
        self.status().published(Published { info, reference: None, signer: None }, 0);
    }

    async fn root(&self) -> u16 {
        root(State(self.clone())).await.into_response().status().as_u16()
    }

    async fn readyz(&self) -> (u16, String) {
        read(readyz(State(self.clone())).await.into_response()).await
    }

    async fn changes(&self, query: &str) -> (u16, String) {
        read(changes::changes(State(self.clone()), RawQuery(Some(query.into()))).await).await
    }
}

async fn read(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn readiness_allows_for_the_pause_between_polls_while_hooks_work() {
    let shared = shared(MINUTE);
    shared.status().expects_pushes();
    shared.status().passed(Outcome::Success, MINUTE);
    shared.status().push(|facts| facts.period = Some(10 * MINUTE));
    sleep(15 * MINUTE).await;
    assert_eq!(shared.readyz().await.0, 200);
    shared.status().push(|facts| facts.period = None);
    assert_eq!(shared.readyz().await.0, 503);
    shared.status().push(|facts| facts.period = Some(10 * MINUTE));
    sleep(2 * MINUTE).await;
    let (status, text) = shared.readyz().await;
    assert!(status == 503 && text.contains("more than 16m"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn readiness_needs_one_success_and_is_never_lost() {
    let shared = shared(MINUTE);
    shared.status().failed("no".into(), 1, MINUTE);
    assert_eq!(shared.root().await, 503);
    shared.status().passed(Outcome::Success, MINUTE);
    assert_eq!(shared.root().await, 200);
    sleep(24 * 60 * MINUTE).await;
    shared.status().failed("no".into(), 1, MINUTE);
    assert_eq!(shared.root().await, 200);
}

#[tokio::test(start_paused = true)]
async fn readyz_fails_once_the_last_success_is_too_old() {
    let shared = shared(2 * MINUTE);
    assert_eq!(shared.readyz().await, (503, "nothing was synced yet\n".into()));
    for outcome in [Outcome::Success, Outcome::Noop] {
        shared.status().passed(outcome, MINUTE);
        sleep(2 * MINUTE).await;
        assert_eq!(shared.readyz().await.0, 200);
        sleep(MINUTE).await;
        let text = "the last success was 3m ago, more than 2m\n";
        assert_eq!(shared.readyz().await, (503, text.into()));
        shared.status().failed("no".into(), 1, MINUTE);
        assert_eq!(shared.readyz().await.0, 503);
    }
}

#[tokio::test(start_paused = true)]
async fn readyz_knows_no_age_where_none_is_given() {
    let shared = shared(Duration::ZERO);
    assert_eq!(shared.readyz().await.0, 503);
    shared.status().passed(Outcome::Success, MINUTE);
    sleep(24 * 60 * MINUTE).await;
    assert_eq!(shared.readyz().await, (200, "ok\n".into()));
}

#[tokio::test(start_paused = true)]
async fn a_request_for_changes_is_answered_at_once_where_there_are_some() {
    let shared = shared(MINUTE);
    shared.publish('a');
    let started = Instant::now();
    for query in ["", "after=", &format!("after={}", commit('b'))] {
        let (status, body) = shared.changes(query).await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, body["commit"].as_str()), (200, Some(&*commit('a').to_string())), "{query}");
    }
    assert_eq!(shared.changes("after=main").await.0, 400);
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_request_for_changes_waits_for_the_next_commit() {
    let shared = shared(MINUTE);
    shared.publish('a');
    let news = async {
        sleep(MINUTE / 4).await;
        shared.publish('a'); // the same again is no news
        sleep(MINUTE / 4).await;
        shared.publish('b');
    };
    let started = Instant::now();
    let query = format!("after={}", commit('a'));
    let waits = async { (shared.changes(&query).await, started.elapsed()) };
    let (((status, body), took), ()) = tokio::join!(waits, news);
    assert_eq!((status, took), (200, MINUTE / 2));
    assert!(body.contains(&commit('b').to_string()), "{body}");
}

#[tokio::test(start_paused = true)]
async fn a_request_for_changes_waits_as_long_as_it_asks_for_but_not_for_ever() {
    let shared = shared(MINUTE);
    for (query, seconds) in [("timeout=5", 5), ("timeout=0", 0), ("", 60), ("timeout=86400", 60)] {
        let started = Instant::now();
        assert_eq!(shared.changes(query).await, (204, String::new()), "{query}");
        assert!(
            started.elapsed().abs_diff(Duration::from_secs(seconds)) < Duration::from_millis(2),
            "{query}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn only_so_many_requests_wait_at_once() {
    let shared = shared(MINUTE);
    let wait = || async { shared.changes("").await.0 };
    let all: Vec<_> = std::iter::repeat_with(|| {
        let shared = shared.clone();
        tokio::spawn(async move { shared.changes("").await.0 })
    })
    .take(changes::WAITING)
    .collect();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(wait().await, 503, "one too many");
    for request in all {
        assert_eq!(request.await.unwrap(), 204);
    }
    shared.publish('a');
    assert_eq!(wait().await, 200, "there is room again");
}
