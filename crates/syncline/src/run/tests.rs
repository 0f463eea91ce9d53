//! The loop under a paused clock, with a worker that does what each test says.
//!
//! tokio does not advance the clock by itself while blocking work runs, so tests do it where that matters.

mod fake;

use std::collections::BTreeSet;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::sync::Arc;

use sync_core::{Interrupt, Progress, Stage};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::yield_now;
use tokio::time::advance;

use fake::{Call, Fake, Listener, Step, commit};

use super::*;
use crate::environment::Environment;
use crate::hooks::{Hook, HookConfig};
use crate::receive::Terms;
use crate::schedule::Policy;
use crate::shared::Shared;
use crate::systemd::{Manager, Readiness};
use crate::touch_and_error_files::Files;

const PERIOD: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(120);

/// A little more than a timer needs.
const TICK: Duration = Duration::from_millis(1);

const POLICY: Policy = Policy {
    period: PERIOD,
    idle_period: None,
    init_period: None,
    one_time: false,
    max_failures: Some(-1),
    init_max_failures: None,
};

type Calls = UnboundedReceiver<(Instant, Call)>;

/// A loop that serves a tree already, has no hooks, and takes these steps.
fn service(steps: &[Step]) -> (Service<Fake>, Calls) {
    let (calls, received) = unbounded_channel();
    let (interrupt, progress) = (Interrupt::new(), Progress::new());
    let worker = Fake { steps: steps.to_vec(), calls, interrupt, progress };
    let service = Service {
        worker: Some(Box::new(worker)),
        schedule: Schedule::new(POLICY, true),
        hooks: hooks(None, false),
        files: Arc::new(Writer::start(Files::default())),
        status: Status::new("repo".into(), "main".into()),
        sync_timeout: TIMEOUT,
        worktree_check_period: None,
        delay: Duration::ZERO,
        wake: Arc::default(),
        pushes: None,
        pool: Pool::default(),
        server: Shared::default().server("server".into()),
        member: None,
        ready: Readiness::new(&Manager::default(), BTreeSet::new()).of(""),
        told: None,
    };
    (service, received)
}

/// Run the loop until it ends, or until this signal stops it.
async fn run(service: Service<Fake>, signal: impl Future<Output = &'static str>) -> Exit {
    let (orders, stop) = Stop::channel();
    let signal = async {
        orders.send_replace(Order::Shutdown(signal.await));
        std::future::pending().await
    };
    let end = tokio::select! {
        end = service.run(stop) => end,
        () = signal => unreachable!(),
    };
    match end {
        End::Over(exit) => exit,
        End::Stopped => Exit::Success,
        End::Panicked => Exit::Failure,
    }
}

fn hooks(listener: Option<Listener>, once: bool) -> Hooks {
    let list = listener.into_iter().map(|listener| Arc::new(listener) as Arc<dyn Hook>).collect();
    Hooks::start(&HookConfig { list, gate: None }, once, &Status::default(), None)
}

/// A shutdown signal at a time when no blocking work runs.
async fn signal_after(time: Duration) -> &'static str {
    sleep(time).await;
    "SIGTERM"
}

async fn never() -> &'static str {
    std::future::pending().await
}

async fn begin(calls: &mut Calls) {
    while !matches!(calls.recv().await, Some((_, Call::Update))) {}
}

fn all(calls: &mut Calls) -> Vec<(Instant, Call)> {
    std::iter::from_fn(|| calls.try_recv().ok()).collect()
}

/// The pauses between updates, in seconds.
fn pauses(calls: &mut Calls) -> Vec<f64> {
    let updates: Vec<_> = all(calls).into_iter().filter(|(_, call)| *call == Call::Update).collect();
    updates.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_secs_f64()).collect()
}

#[tokio::test(start_paused = true)]
async fn failures_are_retried_with_growing_pauses() {
    let (service, mut calls) = service(&[Step::Fail]);
    let status = service.status.clone();
    assert_eq!(run(service, signal_after(Duration::from_secs(300))).await, Exit::Success);
    let pauses = pauses(&mut calls);
    assert!(pauses.len() >= 5, "{pauses:?}");
    for (pause, longest) in pauses.iter().zip([10.0, 20.0, 40.0, 60.0, 60.0, 60.0, 60.0]) {
        assert!((longest / 2.0 - 0.1..=longest + 0.1).contains(pause), "{pauses:?}");
    }
    let facts = status.facts();
    assert_eq!(facts.consecutive_failures as usize, pauses.len() + 1);
    assert_eq!(facts.last_error(), Some("fetch: no answer"));
    assert!(!status.is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_a_pause_gets_it_once() {
    let steps = [Step::FailFor(Duration::from_secs(90)), Step::Fail, Step::Succeed('a')];
    let (service, mut calls) = service(&steps);
    run(service, signal_after(Duration::from_secs(125))).await;
    let pauses = pauses(&mut calls);
    assert!((90.0..=100.1).contains(&pauses[0]), "{pauses:?}");
    assert!(pauses[1] <= 20.1, "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn the_first_success_is_news_and_an_unchanged_poll_is_not() {
    let (mut service, mut calls) = service(&[Step::Fail, Step::Succeed('a'), Step::Succeed('b')]);
    let (heard, mut events) = unbounded_channel();
    service.hooks = hooks(Some(Listener { heard, answer: Some(Ok(())) }), false);
    let name = format!("syncline-test-{}", std::process::id());
    let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    manager.set_nonblocking(true).unwrap();
    let told = Manager::new(&Environment::of(&[("NOTIFY_SOCKET", &format!("@{name}"))]));
    service.ready = Readiness::new(&told, BTreeSet::from([String::new()])).of("");
    let status = service.status.clone();
    run(service, signal_after(Duration::from_secs(100))).await;

    let event = events.try_recv().unwrap();
    assert_eq!((event.commit(), event.tree), (Some(commit('a')), Path::new("/trees").join("a".repeat(40))));
    assert!(events.try_recv().is_err(), "the hook is told once");
    let mut buffer = [0; 100];
    let length = manager.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"READY=1");
    assert!(manager.recv(&mut buffer).is_err(), "the manager is told once");
    let facts = status.facts();
    assert!(status.is_ready());
    assert_eq!(facts.published.as_ref().map(|published| published.info.id), Some(commit('a')));
    assert_eq!((facts.last_error(), facts.consecutive_failures), (None, 0));
    let count = |outcome| facts.passes.get(&outcome).map_or(0, |passes| passes.sum.count);
    assert_eq!((count(Outcome::Error), count(Outcome::Success)), (1, 1));
    assert!(count(Outcome::Noop) >= 5, "{facts:?}");
    let described = all(&mut calls).iter().filter(|(_, call)| matches!(call, Call::Describe(_))).count();
    assert_eq!(described, 1);
}

#[tokio::test(start_paused = true)]
async fn maintenance_follows_every_update() {
    use Call::{Describe, Maintain, MaintainAfterFailure, Update};
    let steps = [Step::Fail, Step::Succeed('a'), Step::Fail, Step::Succeed('b')];
    let (service, mut calls) = service(&steps);
    run(service, signal_after(Duration::from_secs(600))).await;
    let calls: Vec<_> = all(&mut calls).into_iter().map(|(_, call)| call).collect();
    let (a, b) = (commit('a'), commit('b'));
    let expected = [
        [Update, MaintainAfterFailure].as_slice(),
        &[Update, Describe(a), Maintain(a)],
        &[Update, MaintainAfterFailure],
        &[Update, Maintain(b)],
        &[Update, Maintain(b)],
    ]
    .concat();
    assert_eq!(calls[..expected.len()], expected);
}

#[tokio::test(start_paused = true)]
async fn a_one_time_run_ends_with_the_first_success_or_too_many_failures() {
    for (steps, max_failures, updates, exit) in [
        (&[Step::Succeed('a')][..], None, 1, Exit::Success),
        (&[Step::Fail], None, 1, Exit::Failure),
        (&[Step::Fail], Some(3), 3, Exit::Failure),
        (&[Step::Fail, Step::Fail, Step::Succeed('a')], Some(3), 3, Exit::Success),
        (&[Step::Fail, Step::Fail, Step::Succeed('a')], Some(-1), 3, Exit::Success),
    ] {
        let (mut service, mut calls) = service(steps);
        service.schedule = Schedule::new(Policy { one_time: true, max_failures, ..POLICY }, false);
        assert_eq!(run(service, never()).await, exit, "{steps:?}");
        assert_eq!(pauses(&mut calls).len() + 1, updates, "{steps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_one_time_run_waits_for_its_hooks() {
    for (answer, exit) in [
        (Some(Ok(())), Exit::Success),
        (Some(Err("no".into())), Exit::Failure),
        (None, Exit::Success), // it never ends: the signal does
    ] {
        let (mut service, _calls) = service(&[Step::Succeed('a')]);
        let (heard, mut events) = unbounded_channel();
        service.hooks = hooks(Some(Listener { heard, answer: answer.clone() }), true);
        service.schedule = Schedule::new(Policy { one_time: true, ..POLICY }, false);
        assert_eq!(run(service, signal_after(TIMEOUT)).await, exit, "{answer:?}");
        assert_eq!(events.try_recv().unwrap().commit(), Some(commit('a')));
    }
}

#[tokio::test(start_paused = true)]
async fn an_update_that_takes_too_long_is_interrupted_and_has_failed() {
    for (stage, text) in [
        (Stage::Receiving, "fetch: timed out after 2m (--sync-timeout) while receiving objects"),
        (Stage::Idle, "fetch: timed out after 2m (--sync-timeout)"),
    ] {
        let (mut service, mut calls) = service(&[Step::Work(stage), Step::Succeed('a')]);
        service.schedule = Schedule::new(Policy { one_time: true, ..POLICY }, false);
        let status = service.status.clone();
        let time = async {
            begin(&mut calls).await;
            advance(TIMEOUT - TICK).await;
            yield_now().await;
            assert!(status.facts().attempts.is_empty(), "its time is not over");
            advance(2 * TICK).await;
        };
        let (exit, ()) = tokio::join!(run(service, never()), time);
        assert_eq!(exit, Exit::Success, "the next one succeeds");
        let facts = status.facts();
        let errors: Vec<_> = facts.attempts.iter().filter_map(|attempt| attempt.error.as_deref()).collect();
        assert_eq!(errors, [text]);
        assert_eq!(all(&mut calls)[0].1, Call::MaintainAfterFailure);
    }
}

#[tokio::test(start_paused = true)]
async fn a_signal_ends_a_wait_at_once() {
    let (mut service, _calls) = service(&[Step::Fail]);
    let policy = Policy { period: Duration::from_secs(3600), ..POLICY };
    service.schedule = Schedule::new(policy, true);
    let started = Instant::now();
    assert_eq!(run(service, signal_after(PERIOD)).await, Exit::Success);
    assert!(started.elapsed() <= PERIOD + TICK, "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_signal_interrupts_a_running_update() {
    let (service, mut calls) = service(&[Step::Work(Stage::Receiving)]);
    let (interrupt, started) = (service.worker.as_ref().unwrap().interrupt(), Instant::now());
    let signal = async {
        begin(&mut calls).await;
        "SIGTERM"
    };
    assert_eq!(run(service, signal).await, Exit::Success);
    assert!(interrupt.is_triggered());
    assert_eq!(started.elapsed(), Duration::ZERO, "it is not waited for longer than it takes");
}

#[tokio::test(start_paused = true)]
async fn work_that_does_not_stop_is_left_behind() {
    let held = Arc::new(());
    let (service, mut calls) = service(&[Step::Hang(Arc::downgrade(&held))]);
    let (interrupt, started) = (service.worker.as_ref().unwrap().interrupt(), Instant::now());
    let signal = async {
        begin(&mut calls).await;
        "SIGTERM"
    };
    let time = async {
        while !interrupt.is_triggered() {
            yield_now().await;
        }
        advance(GRACE + TICK).await;
    };
    let (exit, ()) = tokio::join!(run(service, signal), time);
    drop(held);
    assert_eq!((exit, started.elapsed()), (Exit::Success, GRACE + TICK));
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_the_process() {
    let (service, _calls) = service(&[Step::Panic]);
    assert_eq!(run(service, never()).await, Exit::Failure);
}

#[tokio::test(start_paused = true)]
async fn the_published_tree_is_compared_once_in_each_check_period() {
    let (mut service, mut calls) = service(&[Step::Succeed('a')]);
    let period = Duration::from_secs(60);
    service.worktree_check_period = Some(period);
    run(service, signal_after(Duration::from_secs(600))).await;
    let calls = all(&mut calls);
    let checks: Vec<_> = (0..calls.len()).filter(|at| calls[*at].1 == Call::Verify).collect();
    assert!((8..=9).contains(&checks.len()), "{calls:?}");
    for pair in checks.windows(2) {
        let pause = calls[pair[1]].0 - calls[pair[0]].0;
        assert!(pause >= period && pause <= period + 2 * PERIOD, "{calls:?}");
    }
    assert!(checks.iter().all(|at| calls[at + 1].1 == Call::Update), "{calls:?}");
}

/// A loop that hooks tell of pushes, at these moments.
async fn hooked(steps: &[Step], moments: &[f64]) -> Vec<f64> {
    let (mut service, mut calls) = service(steps);
    service.schedule = Schedule::new(Policy { period: Duration::from_secs(1000), ..POLICY }, true);
    let terms = Terms { spread: Duration::ZERO, period: Duration::from_secs(1000) };
    let pushes = Pushes::new(terms, &service.status);
    service.pushes = Some(pushes.clone());
    let signal = async {
        let began = Instant::now();
        for moment in moments {
            tokio::time::sleep_until(began + Duration::from_secs_f64(*moment)).await;
            pushes.announce(Some(commit('b')));
        }
        signal_after(Duration::from_secs(300)).await
    };
    run(service, signal).await;
    pauses(&mut calls)
}

#[tokio::test(start_paused = true)]
async fn a_hook_starts_a_look_which_is_repeated_until_its_commit_is_there() {
    let found = [Step::Succeed('a'), Step::Succeed('b')];
    let pauses = hooked(&found, &[5.0]).await;
    assert_eq!(pauses.len(), 1, "{pauses:?}");
    assert!((4.9..=5.1).contains(&pauses[0]), "{pauses:?}");
    let late = [Step::Succeed('a'), Step::Succeed('a'), Step::Succeed('a'), Step::Succeed('b')];
    let late = hooked(&late, &[5.0]).await;
    assert_eq!(late.len(), 3, "{late:?}");
    assert!((0.4..=0.7).contains(&late[1]) && (0.8..=1.3).contains(&late[2]), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hook_shortens_the_pause_after_a_failure_but_not_one_that_a_server_asks_for() {
    let pauses = hooked(&[Step::Fail, Step::Fail, Step::Succeed('b')], &[0.5, 20.0, 30.0]).await;
    assert_eq!(pauses.len(), 1, "{pauses:?}");
    assert!((0.9..=1.1).contains(&pauses[0]), "{pauses:?}");
    let pauses = hooked(&[Step::FailFor(Duration::from_secs(90)), Step::Succeed('b')], &[5.0]).await;
    assert_eq!(pauses.len(), 1, "{pauses:?}");
    assert!((90.0..=95.1).contains(&pauses[0]), "{pauses:?}");
}
