//! Some members of a pool hang until all is well again, seed by seed: how many calls fail for it, when who is left out, when it
//! is probed, and when it is back.
//!
//! ```text
//!   hang ──► three calls fail ──► left out 250 ms ──► a probe fails ──► 500 ms ─ … ─► well ──► a probe replies ──► back
//! ```
//!
//! A call is made each 15 ms, so that pauses are over when a call comes: then the share of failed calls is at most that of the
//! members that hang.

use super::*;

/// A call is made so often.
const EVERY: Duration = Duration::from_millis(15);
/// The time of a call, which one that is well needs a third of.
const TIMEOUT: Duration = Duration::from_millis(100);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long a member is left out that was left out so often.
fn pause(times: usize) -> Duration {
    (FIRST_PAUSE * (1 << (times - 1).min(10))).min(LONGEST_PAUSE)
}

/// A call that was made then.
struct Made {
    at: Instant,
    call: u64,
    result: Result<u32, Failure>,
}

/// Makes calls one after the other without waiting for their ends.
struct Caller<'a> {
    pool: &'a ActorPool<WorkerClient>,
    made: Arc<Mutex<Vec<Made>>>,
}

impl Caller<'_> {
    async fn call_until(&self, run: &mut Run, until: Instant) {
        while Instant::now() < until {
            let (call, client, made) = (run.next_call(), self.pool.call(), self.made.clone());
            let millis = run.random.u64(0..5);
            run.spawn(Box::pin(async move {
                let at = Instant::now();
                let result = client.plain(call, millis).timeout(TIMEOUT).await;
                lock(&made).push(Made { at, call, result });
            }));
            sleep(EVERY).await;
        }
    }
}

/// What became of the calls of one member that hung until then; `out` is how often it was left out.
struct Hung<'a> {
    number: u32,
    calls: Vec<&'a Made>,
    healed: Instant,
    out: usize,
}

impl Hung<'_> {
    /// What is wrong with the times of its calls.
    fn wrong(&self, members: usize) -> Option<String> {
        let calls = self.calls.iter().map(|made| made.at);
        let (before, after): (Vec<_>, Vec<_>) = calls.partition(|at| *at < self.healed);
        // Its last one of the calls that it takes to be left out, which fails when its time is over.
        let &third = before.get(FAILURES as usize - 1)?;
        let out_by = third + TIMEOUT + SLACK;
        let (_, probes): (Vec<_>, Vec<_>) = before.iter().partition(|at| **at <= out_by);
        // Others may be probed first, by a call each.
        let late = TIMEOUT + SLACK + EVERY * members as u32;
        let mut last = third;
        for (place, at) in probes.iter().enumerate() {
            let (least, pause) = (TIMEOUT - SLACK, pause(place + 1));
            if *at < last + least + pause || *at > last + late + pause {
                let after = *at - last;
                return Some(format!(
                    "its probe {place} came {after:?} after the call before, its pause is {pause:?}"
                ));
            }
            last = *at;
        }
        if self.healed <= out_by {
            return None;
        }
        let Some(back) = after.first() else { return Some("it was never back".into()) };
        let pause = pause(probes.len() + 1);
        if *back > self.healed.max(last + late + pause) + EVERY * members as u32 {
            return Some(format!(
                "it was well, and called {:?} after its last probe, its pause is {pause:?}",
                *back - last
            ));
        }
        // Each probe that failed, and the failures before.
        (self.out != probes.len() + 1).then(|| format!("it was left out {} times", self.out))
    }
}

async fn go(seed: u64) -> Vec<String> {
    let mut run = Run::new(seed);
    let members = run.servers.len();
    for server in 0..members {
        run.start(server).await;
    }
    let balance = if seed.is_multiple_of(2) { Balance::RoundRobin } else { Balance::LeastLoaded };
    let ejection = Ejection::default().failures(FAILURES).slower(f64::INFINITY);
    let builder = ActorPool::<WorkerClient>::builder(&run.resolver, "worker").node(&run.client);
    let pool = builder.balance(balance).ejection(ejection.pauses(FIRST_PAUSE, LONGEST_PAUSE)).build();
    pool.wait_for_size(members, ms(20_000)).await.expect("all are there");
    let mut events = pool.events();

    // No more than may be left out together.
    let hanging = run.random.usize(1..=members / 2);
    let mut numbers: Vec<u32> = (1..=members as u32).collect();
    run.random.shuffle(&mut numbers);
    let hung = &numbers[..hanging];
    let set = |run: &Run, mood| {
        hung.iter().for_each(|number| run.servers[*number as usize - 1].mood.store(mood, Ordering::Relaxed));
    };
    let caller = Caller { pool: &pool, made: Arc::default() };
    set(&run, HANGS);
    let healed = Instant::now() + ms(run.random.u64(500..7_000));
    caller.call_until(&mut run, healed).await;
    let healed = Instant::now();
    set(&run, WELL);
    caller.call_until(&mut run, healed + LONGEST_PAUSE + ms(500)).await;
    join_all(std::mem::take(&mut run.tasks)).await;

    let mut made = std::mem::take(&mut *lock(&caller.made));
    made.sort_by_key(|made| made.call);
    let (mut all, mut failed) = (0, 0);
    for Made { at, call, result } in &made {
        all += 1;
        failed += usize::from(result.is_err());
        // Turns begin anew when one is left out, and others go on to get calls until theirs have failed.
        if failed * members > (all + 2 * members) * hanging {
            run.wrong(format!("{failed} of the first {all} calls failed, and {hanging} of {members} hung"));
        }
        if let Err(failure) = result
            && *at >= healed
        {
            run.wrong(format!("all is well, and call {call} fails: {failure}"));
        }
    }
    let snapshot = pool.snapshot();
    if !snapshot
        .members
        .iter()
        .all(|member| matches!(member.state, MemberState::Ready) && member.outstanding == 0)
    {
        run.wrong(format!("all is well, and not all members are: {snapshot}"));
    }
    drop(pool);
    let events: Vec<_> = events.by_ref().collect().await;
    let ledger = lock(&run.ledger).clone();
    for &number in &numbers {
        let address = run.servers[number as usize - 1].running.as_ref().expect("it runs").address();
        let is_it = |event: &&PoolEvent| matches!(event, PoolEvent::Ejected { endpoint, .. } if endpoint.address == address);
        let out = events.iter().filter(is_it).count();
        if !hung.contains(&number) {
            if out > 0 {
                run.wrong(format!("member {number} was well, and left out"));
            }
            continue;
        }
        let calls = made.iter().filter(|made| ledger.get(&made.call).is_some_and(|by| by.contains(&number)));
        let hung = Hung { number, calls: calls.collect(), healed, out };
        if let Some(wrong) = hung.wrong(members) {
            run.wrong(format!("member {} of {members} hung: {wrong}", hung.number));
        }
    }
    std::mem::take(&mut *lock(&run.wrong))
}

#[test]
fn members_that_hang_are_left_out_and_back_in_time_and_few_calls_fail_for_it() {
    let failed = seed_by_seed(10, |seed| runtime(Path::Simulated).block_on(go(seed)));
    assert!(failed.is_empty(), "{} seeds failed: {failed:?}", failed.len());
}
