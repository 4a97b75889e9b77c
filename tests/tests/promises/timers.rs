//! Timers: turns of `on_timeout` at their time, once each, in the mailbox's order, and none after `cancel` has returned.
#![expect(clippy::disallowed_methods, reason = "the bounds are bounds of time")]

use std::{
    collections::BTreeSet,
    pin::pin,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use actor_runtime::{
    Config, FailureKind, MissedTicks, Overflow, Period, TimerError, TimerId, Timers, prelude::*, testing,
};
use futures::{FutureExt, future::join_all};
use tests::{Fixture, Path, Script, on_each_path, on_path};
use tokio::time::Instant;

const MS: Duration = Duration::from_millis(1);
const HOLD: TimerId = TimerId::named("hold");

#[actor_service]
trait Desk {
    /// Shows the actor's timers to the test.
    async fn open(&self);
    /// Runs alone until the test opens it.
    async fn alone(&mut self, name: String);
    async fn shared(&self, name: String);
    /// Logs its name.
    async fn note(&mut self, name: String);
    /// Tries to wait for itself.
    async fn never(&mut self);
}

struct Clerk {
    script: Script,
    timers: Arc<OnceLock<Timers>>,
    start: Instant,
    /// Shows whether the actor lives.
    _alive: Arc<()>,
}

impl Actor for Clerk {
    type Services = (DeskService,);

    async fn on_timeout(&mut self, timeout: Timeout) {
        let at = self.start.elapsed().as_millis();
        self.script.log(format!("{} x{} at {at}", timeout.id(), timeout.ticks()));
        match timeout.id().name() {
            "hold" => self.script.act("hold").await,
            "panic" => panic!("no time"),
            "context" => {
                let ctx = current_ctx().expect("this is a turn");
                assert_eq!((ctx.actor_name(), ctx.caller(), ctx.remaining()), ("desk", None, None));
                assert!(!ctx.is_cancelled());
                let own = DeskClient::new(&ctx.resolver(), "desk");
                let failure = own.never().await.expect_err("it would wait for itself");
                self.script.log(format!("{:?}", failure.kind()));
                ctx.timers().once("from a turn", MS).expect("there is room");
                let task =
                    ctx.spawn(async { current_ctx().map(|ctx| ctx.timers().once("from a task", 2 * MS)) });
                assert!(matches!(task.await, Ok(Ok(Ok(())))));
            }
            _ => {}
        }
    }
}

#[actor_service(part)]
impl Desk for Clerk {
    async fn open(&self) {
        let timers = current_ctx().expect("this is a turn").timers();
        self.timers.get_or_init(|| timers);
    }

    async fn alone(&mut self, name: String) {
        self.script.act(&name).await;
    }

    async fn shared(&self, name: String) {
        self.script.act(&name).await;
    }

    async fn note(&mut self, name: String) {
        self.script.log(name);
    }

    async fn never(&mut self) {}
}

/// An actor, its timers, and what it logged.
struct Story {
    desk: DeskClient,
    timers: Timers,
    script: Script,
    start: Instant,
    alive: Arc<()>,
}

impl Story {
    async fn new(fixture: &Fixture) -> Self {
        Self::with(fixture, |registration| registration).await
    }

    async fn with<'a>(
        fixture: &'a Fixture,
        configure: impl FnOnce(actor_runtime::Registration<'a, Clerk>) -> actor_runtime::Registration<'a, Clerk>,
    ) -> Self {
        let (timers, script, start) = (Arc::default(), fixture.script.clone(), Instant::now());
        let alive = Arc::new(());
        let clerk =
            Clerk { script: script.clone(), timers: Arc::clone(&timers), start, _alive: alive.clone() };
        configure(fixture.server.registration("desk", clerk)).register().expect("a free name");
        fixture.resolver.set("desk", [fixture.server.address()]);
        let desk = DeskClient::on(&fixture.node, &fixture.resolver, "desk");
        desk.open().await.expect("it is registered");
        Self { desk, timers: timers.get().expect("it was opened").clone(), script, start, alive }
    }

    /// What was logged so far, but for what `alone` and `shared` logged.
    fn fired(&self) -> Vec<String> {
        let mut lines = self.script.lines();
        lines.retain(|line| {
            !line.ends_with("begins") && !line.ends_with("ends") && !line.ends_with("dropped")
        });
        lines
    }
}

fn ms(millis: u64) -> Duration {
    MS * u32::try_from(millis).expect("a short time")
}

#[test]
fn a_timer_for_once_fires_once_and_at_its_time() {
    on_path(Path::Direct, async |fixture| {
        let story = Story::new(fixture).await;
        story.timers.once(7, ms(10)).unwrap();
        story.timers.once("word", ms(3)).unwrap();
        story.timers.once(TimerId::of("both", 7), Duration::ZERO).unwrap();
        assert!(story.timers.is_set(7) && story.timers.is_set("word") && !story.timers.is_set("both"));
        assert_eq!(story.timers.len(), 3);
        fixture.pass(ms(9)).await;
        assert_eq!(story.fired(), ["both/7 x1 at 0", "word x1 at 3"]);
        fixture.pass(ms(1000)).await;
        assert_eq!(story.fired(), ["both/7 x1 at 0", "word x1 at 3", "7 x1 at 10"]);
        assert!(story.timers.is_empty());
    });
}

#[test]
fn timers_fire_in_the_order_of_their_times() {
    on_path(Path::Direct, async |fixture| {
        let story = Story::new(fixture).await;
        let mut expected = Vec::new();
        // Not in order, and through every level of the wheel.
        for n in 0..400_u64 {
            let after = n * 7919 % 400 * 1_009 + 1;
            story.timers.once(n, ms(after)).unwrap();
            expected.push((after, format!("{n} x1 at {after}")));
        }
        expected.sort_unstable();
        fixture.pass(Duration::from_secs(450)).await;
        assert_eq!(story.fired(), expected.into_iter().map(|(_, line)| line).collect::<Vec<_>>());
    });
}

/// Also where calls travel and time is real: never early.
#[test]
fn a_periodic_timer_ticks_until_it_is_cancelled() {
    on_each_path(async |fixture| {
        let story = Story::new(fixture).await;
        let period = Period::every(ms(20)).first_after(ms(5));
        story.timers.periodic("tick", period).unwrap();
        while story.fired().len() < 4 {
            fixture.pass(ms(1)).await;
        }
        assert!(story.start.elapsed() >= ms(65) || story.fired().iter().any(|line| !line.contains("x1 ")));
        assert!(story.timers.cancel("tick"));
        let so_far = story.fired();
        fixture.pass(ms(200)).await;
        assert_eq!(story.fired(), so_far);
        assert!(!story.timers.cancel("tick"));
    });
}

#[test]
fn the_schedule_does_not_drift_and_missed_ticks_go_by_the_policy() {
    let told = |missed: MissedTicks| {
        let told = Mutex::new(Vec::new());
        on_path(Path::Direct, async |fixture| {
            let story = Story::new(fixture).await;
            story.timers.periodic("tick", Period::every(ms(10)).missed(missed)).unwrap();
            let held = async {
                fixture.pass(ms(15)).await;
                let alone = story.desk.alone("held".to_owned());
                let opens = async {
                    fixture.pass(ms(32)).await;
                    fixture.script.open("held");
                };
                let (alone, ()) = tokio::join!(alone, opens);
                alone.unwrap();
                fixture.pass(ms(18)).await;
            };
            held.await;
            *told.lock().unwrap() = story.fired();
        });
        told.into_inner().unwrap()
    };
    // Held from 15 to 47; the ticks of 20, 30 and 40 are missed.
    assert_eq!(told(MissedTicks::Skip), ["tick x1 at 10", "tick x3 at 47", "tick x1 at 50", "tick x1 at 60"]);
    assert_eq!(told(MissedTicks::Delay), ["tick x1 at 10", "tick x3 at 47", "tick x1 at 57"]);
    assert_eq!(
        told(MissedTicks::Burst),
        [
            "tick x1 at 10",
            "tick x1 at 47",
            "tick x1 at 47",
            "tick x1 at 47",
            "tick x1 at 50",
            "tick x1 at 60"
        ]
    );
}

#[test]
fn a_timeout_takes_its_place_among_the_calls_when_it_fires() {
    on_path(Path::Direct, async |fixture| {
        // Two calls fit, and two more wait at their callers.
        let story = Story::with(fixture, |registration| registration.mailbox(2)).await;
        let note = |name: &str| story.desk.clone().note(name.to_owned());
        story.timers.once("timeout", ms(10)).unwrap();
        story.timers.periodic("tick", ms(11)).unwrap();
        let mut held = pin!(story.desk.alone("held".to_owned()));
        assert!((&mut held).now_or_never().is_none());
        let mut before = pin!(join_all((0..4).map(|n| note(&format!("before {n}")))));
        assert!((&mut before).now_or_never().is_none());
        fixture.pass(ms(20)).await;
        let mut behind = pin!(note("behind"));
        assert!((&mut behind).now_or_never().is_none());
        fixture.pass(ms(500)).await;
        fixture.script.open("held");
        let _ = tokio::join!(held, before, behind);
        story.timers.cancel_all();
        assert_eq!(
            story.fired(),
            [
                "before 0",
                "before 1",
                "before 2",
                "before 3",
                "timeout x1 at 520",
                "tick x47 at 520",
                "behind"
            ]
        );
    });
}

#[test]
fn a_mailbox_that_refuses_calls_does_not_refuse_a_timeout() {
    on_path(Path::Direct, async |fixture| {
        let story =
            Story::with(fixture, |registration| registration.mailbox(1).overflow(Overflow::Fail)).await;
        let mut held = pin!(story.desk.alone("held".to_owned()));
        assert!((&mut held).now_or_never().is_none());
        fixture.settle().await;
        let mut queued = pin!(story.desk.clone().note("queued".to_owned()));
        assert!((&mut queued).now_or_never().is_none());
        for id in 0..3 {
            story.timers.once(id, ms(10)).unwrap();
        }
        fixture.pass(ms(20)).await;
        let refused = story.desk.clone().note("refused".to_owned()).await.unwrap_err();
        assert_eq!(refused.kind(), FailureKind::Overloaded);
        fixture.script.open("held");
        let _ = tokio::join!(held, queued);
        fixture.settle().await;
        assert_eq!(story.fired(), ["queued", "0 x1 at 25", "1 x1 at 25", "2 x1 at 25"]);
    });
}

#[test]
fn nothing_of_a_setting_begins_once_it_is_cancelled_or_replaced() {
    on_path(Path::Direct, async |fixture| {
        let story = Story::new(fixture).await;
        let timers = &story.timers;
        // Before it fires.
        timers.once("early", ms(10)).unwrap();
        assert!(timers.cancel("early") && !timers.cancel("early"));
        timers.once("again", ms(10)).unwrap();
        timers.once("again", ms(20)).unwrap();
        timers.periodic("ticks", ms(10)).unwrap();
        timers.once("ticks", ms(15)).unwrap();
        assert_eq!(timers.len(), 2);
        fixture.pass(ms(100)).await;
        assert_eq!(story.fired(), ["ticks x1 at 15", "again x1 at 20"]);
        // While its turn is queued.
        let mut held = pin!(story.desk.alone("held".to_owned()));
        assert!((&mut held).now_or_never().is_none());
        timers.once("queued", ms(10)).unwrap();
        timers.once("replaced", ms(10)).unwrap();
        timers.periodic("periodic", ms(10)).unwrap();
        fixture.pass(ms(20)).await;
        assert!(timers.is_set("queued"), "its turn has not begun");
        assert!(timers.cancel("queued") && timers.cancel("periodic"));
        timers.once("replaced", ms(50)).unwrap();
        fixture.script.open("held");
        held.await.unwrap();
        fixture.pass(ms(100)).await;
        assert_eq!(story.fired()[2..], ["replaced x1 at 170"]);
        assert!(timers.is_empty());
    });
}

#[test]
fn a_turn_that_has_begun_goes_on_and_cancel_says_so() {
    on_path(Path::Direct, async |fixture| {
        let story = Story::new(fixture).await;
        story.timers.once(HOLD, ms(1)).unwrap();
        fixture.script.seen("hold begins").await;
        assert!(!story.timers.is_set(HOLD) && !story.timers.cancel(HOLD));
        fixture.script.open("hold");
        fixture.script.seen("hold ends").await;
        story.timers.periodic(HOLD, ms(1)).unwrap();
        fixture.settle().await;
        assert!(story.timers.cancel(HOLD), "it would have ticked again");
        fixture.script.open("hold");
        fixture.pass(ms(10)).await;
        let ends = fixture.script.lines().iter().filter(|line| *line == "hold ends").count();
        assert_eq!((ends, story.fired().len()), (2, 2));
    });
}

/// S1: it runs alone.
#[test]
fn a_timeout_waits_for_shared_turns_and_one_that_is_cancelled_lets_calls_through() {
    for tasks in [None, Some(4)] {
        on_path(Path::Direct, async |fixture| {
            let story = Story::with(fixture, |registration| match tasks {
                Some(tasks) => registration.parallel(tasks),
                None => registration,
            })
            .await;
            let mut first = pin!(story.desk.shared("first".to_owned()));
            assert!((&mut first).now_or_never().is_none());
            fixture.script.seen("first begins").await;
            story.timers.once("blocks", ms(1)).unwrap();
            fixture.pass(ms(5)).await;
            let mut second = pin!(story.desk.clone().shared("second".to_owned()));
            assert!((&mut second).now_or_never().is_none());
            fixture.settle().await;
            assert_eq!(fixture.script.lines(), ["first begins"], "both wait");
            assert!(story.timers.cancel("blocks"));
            fixture.settle().await;
            assert_eq!(fixture.script.lines(), ["first begins", "second begins"]);
            story.timers.once("waits", ms(1)).unwrap();
            fixture.pass(ms(5)).await;
            fixture.script.open("first");
            fixture.script.open("second");
            let _ = tokio::join!(first, second);
            fixture.settle().await;
            assert_eq!(story.fired().len(), 1);
        });
    }
}

/// S5: the turn is a link of the chains that begin in it.
#[test]
fn the_context_of_a_timeout_is_the_actors_and_its_calls_are_seen_to_come_back() {
    on_path(Path::Direct, async |fixture| {
        let story = Story::new(fixture).await;
        story.timers.once("context", ms(1)).unwrap();
        fixture.pass(ms(10)).await;
        assert_eq!(story.fired(), ["context x1 at 1", "Cycle", "from a turn x1 at 2", "from a task x1 at 3"]);
    });
}

/// S4.
#[test]
fn a_panic_in_on_timeout_ends_the_actor_and_its_timers() {
    on_path(Path::Direct, async |fixture| {
        let story = Story::new(fixture).await;
        story.timers.periodic("tick", ms(10)).unwrap();
        story.timers.once("panic", ms(5)).unwrap();
        fixture.pass(ms(100)).await;
        assert_eq!(story.fired(), ["panic x1 at 5"]);
        let failure = story.desk.note("late".to_owned()).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Stopped);
        let why = "a handler panicked in Actor/on_timeout: no time; register the actor anew";
        assert!(failure.detail().starts_with(why), "{failure}");
        assert!(story.timers.is_empty());
        assert_eq!(story.timers.once("tick", ms(1)), Err(TimerError::Stopped));
    });
}

/// S9.
#[test]
fn an_actor_that_stops_runs_the_timeouts_that_are_queued_and_waits_for_no_others() {
    on_path(Path::Direct, async |fixture| {
        let story = Story::new(fixture).await;
        let mut held = pin!(story.desk.alone("held".to_owned()));
        assert!((&mut held).now_or_never().is_none());
        story.timers.once("queued", ms(5)).unwrap();
        story.timers.once("far", Duration::from_secs(3600)).unwrap();
        fixture.pass(ms(10)).await;
        let begun = Instant::now();
        let opens = async {
            fixture.pass(ms(5)).await;
            fixture.script.open("held");
        };
        let (held, ended, ()) = tokio::join!(held, fixture.server.shutdown(ms(1000)), opens);
        held.unwrap();
        ended.expect("nothing is cut off");
        assert_eq!(begun.elapsed(), ms(5));
        assert_eq!(story.fired(), ["queued x1 at 15"]);
        assert!(story.timers.is_empty());
        assert_eq!(story.timers.once("late", ms(1)), Err(TimerError::Stopped));
    });
}

/// S9.
#[test]
fn a_running_timeout_is_dropped_when_a_shutdowns_grace_ends() {
    on_path(Path::Direct, async |fixture| {
        let story = Story::new(fixture).await;
        story.timers.once(HOLD, ms(5)).unwrap();
        fixture.script.seen("hold begins").await;
        let error = fixture.server.shutdown(ms(100)).await.unwrap_err();
        assert_eq!(error.cut_off, ["desk"]);
        assert_eq!(fixture.script.lines(), ["hold x1 at 5", "hold begins", "hold dropped"]);
    });
}

#[test]
fn timers_are_the_actors_and_keep_nothing_alive() {
    on_path(Path::Direct, async |fixture| {
        let story = Story::new(fixture).await;
        story.timers.periodic("tick", ms(10)).unwrap();
        drop(story.timers.clone());
        assert_eq!(story.timers.len(), 1, "whoever held the handle");
        let alive = Arc::downgrade(&story.alive);
        let Story { timers, alive: ours, .. } = story;
        drop(ours);
        assert!(alive.upgrade().is_some(), "the actor runs");
        assert!(fixture.server.unregister("desk").await);
        fixture.settle().await;
        assert!(alive.upgrade().is_none(), "a handle and a timer that ticks do not keep it");
        assert!(timers.is_empty());
    });
}

#[test]
fn timers_are_bounded_and_periods_are_not_too_short() {
    on_path(Path::Direct, async |_| {
        let config = Config { max_timers: 2, ..Config::default() };
        let node = Node::builder().config(config).build().unwrap();
        let server = ActorServer::bind_on(&node, "loopback:0").await.unwrap();
        let timers = Arc::<OnceLock<Timers>>::default();
        let (script, start) = (Script::default(), Instant::now());
        let clerk = Clerk { script, timers: timers.clone(), start, _alive: Arc::default() };
        server.register("desk", clerk).unwrap();
        DeskClient::on(&node, &server.resolver(), "desk").open().await.unwrap();
        let timers = timers.get().unwrap();
        timers.once(1, ms(10)).unwrap();
        timers.periodic(2, Period::MIN).unwrap();
        assert_eq!(timers.once(3, ms(10)), Err(TimerError::TooMany { limit: 2 }));
        timers.once(1, ms(20)).expect("it replaces one");
        for period in [Duration::ZERO, Duration::from_micros(999)] {
            assert_eq!(timers.periodic(2, period), Err(TimerError::TooShort { period }));
        }
        assert!(timers.is_set(2), "what was refused has changed nothing");
        timers.once(1, Duration::MAX).expect("as long as there is");
        assert_eq!(timers.cancel_all(), 2);
        timers.once(3, ms(10)).expect("there is room again");
    });
}

/// `cancel` says that a timer will not have a turn, and then it has none, whatever thread does what.
#[test]
fn threads_that_cancel_while_timers_fire_are_told_the_truth() {
    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<BTreeSet<u64>>>);

    struct Notes(Seen, Arc<OnceLock<Timers>>);

    impl Actor for Notes {
        type Services = (DeskService,);

        async fn on_timeout(&mut self, timeout: Timeout) {
            let fresh = self.0.lock().insert(timeout.id().number());
            assert!(fresh, "{} has fired twice", timeout.id());
        }
    }

    impl Seen {
        fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<u64>> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    #[actor_service(part)]
    impl Desk for Notes {
        async fn open(&self) {
            let timers = current_ctx().expect("this is a turn").timers();
            self.1.get_or_init(|| timers);
        }

        async fn alone(&mut self, _: String) {}
        async fn shared(&self, _: String) {}
        async fn note(&mut self, _: String) {}
        async fn never(&mut self) {}
    }

    const THREADS: u64 = 3;
    const EACH: u64 = 1_000;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (seen, timers) = (Seen::default(), Arc::<OnceLock<Timers>>::default());
        let desk: DeskClient = testing::client(Notes(seen.clone(), timers.clone()));
        desk.open().await.unwrap();
        let timers = timers.get().unwrap();
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let timers = timers.clone();
                std::thread::spawn(move || {
                    let ids = (0..EACH).map(|n| thread * EACH + n);
                    ids.filter(|id| {
                        timers.once(*id, Duration::from_micros(id % 7 * 300)).unwrap();
                        // Some are cancelled at once, and some when their time has come.
                        let until = std::time::Instant::now() + Duration::from_micros(id % 11 * 200);
                        while std::time::Instant::now() < until {
                            std::hint::spin_loop();
                        }
                        timers.cancel(*id)
                    })
                    .collect::<BTreeSet<u64>>()
                })
            })
            .collect();
        let cancelled: BTreeSet<u64> =
            threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect();
        while !timers.is_empty() {
            tokio::time::sleep(MS).await;
        }
        // Behind every turn that has begun.
        desk.note(String::new()).await.unwrap();
        let seen = seen.lock();
        assert!(seen.is_disjoint(&cancelled), "cancelled, and had a turn");
        assert_eq!(
            seen.len() + cancelled.len(),
            (THREADS * EACH) as usize,
            "each ended one way or the other"
        );
        assert!(!seen.is_empty() && !cancelled.is_empty());
    });
}
