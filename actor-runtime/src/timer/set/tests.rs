//! The timers of one actor beside those of others: nothing is left over.

use std::{sync::Mutex as Std, time::Duration};

use super::*;
use crate::Node;

const MS: Duration = Duration::from_millis(1);

/// An actor that only notes what it is given.
#[derive(Default)]
struct Inbox {
    turns: Std<Vec<Arc<dyn AnyCall>>>,
    closed: bool,
}

impl Inbox {
    fn take(&self) -> Vec<Arc<dyn AnyCall>> {
        std::mem::take(&mut self.turns.lock().expect("no panic"))
    }
}

impl Deliver for Inbox {
    fn deliver(&self, turn: Arc<dyn AnyCall>) -> bool {
        self.turns.lock().expect("no panic").push(turn);
        !self.closed
    }
}

fn set_of(node: &Node, inbox: &Arc<Inbox>) -> Arc<TimerSet> {
    let actor: Weak<Inbox> = Arc::downgrade(inbox);
    TimerSet::new(node.timers().clone(), actor, "sample".into(), 100_000)
}

fn node() -> Node {
    Node::builder().build().expect("a runtime runs")
}

async fn pass(time: Duration) {
    clock::sleep_until(clock::now() + time).await;
}

fn room(set: &TimerSet) -> usize {
    lock(&set.state).timers.capacity()
}

#[tokio::test(start_paused = true)]
async fn what_an_actor_had_set_is_gone_when_it_ends_and_others_keep_theirs() {
    let (node, inbox) = (node(), Arc::<Inbox>::default());
    let sets = [set_of(&node, &inbox), set_of(&node, &inbox)];
    for set in &sets {
        for n in 0..1_000_u64 {
            set.set(n.into(), MS * (n as u32 % 100 + 1), (n % 2 == 0).then(|| Period::every(MS))).unwrap();
        }
    }
    pass(5 * MS).await;
    let waiting = inbox.take();
    assert_eq!(node.timers().len() + waiting.len(), 2_000, "a timer is in the wheel, or its turn is queued");
    sets[0].end();
    assert_eq!(sets[0].len(), 0);
    assert_eq!(sets[0].set(7.into(), MS, None), Err(TimerError::Stopped));
    let begun: Vec<_> = waiting.iter().filter_map(|turn| DueTurn::of(&**turn)?.begin()).collect();
    assert_eq!(begun.len(), waiting.len() / 2, "those of the other one");
    assert_eq!(node.timers().len(), sets[1].len());
    assert_eq!(
        sets[1].clear(),
        sets[1].len() + 1_000 - begun.iter().filter(|t| t.id().number() % 2 == 1).count()
    );
    assert_eq!(node.timers().len(), 0);
    sets[1].set(7.into(), MS, None).expect("it is cleared, and has not ended");
    pass(10 * MS).await;
    assert_eq!(inbox.take().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_set_whose_actor_is_gone_or_takes_no_turns_ends_when_it_fires() {
    let node = node();
    let inbox = Arc::new(Inbox { closed: true, ..Inbox::default() });
    let set = set_of(&node, &inbox);
    set.set(1.into(), MS, None).unwrap();
    set.set(2.into(), 1_000 * MS, None).unwrap();
    pass(2 * MS).await;
    assert_eq!((set.len(), node.timers().len()), (0, 0));
    assert_eq!(set.set(1.into(), MS, None), Err(TimerError::Stopped));
    // Timers keep their set as little as their actor.
    let other = set_of(&node, &inbox);
    other.set(1.into(), MS, None).unwrap();
    drop(other);
    pass(2 * MS).await;
    assert_eq!(node.timers().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_place_a_timer_is_all_that_is_ever_taken() {
    let (node, inbox) = (node(), Arc::<Inbox>::default());
    let set = set_of(&node, &inbox);
    for (id, missed) in [MissedTicks::Skip, MissedTicks::Delay, MissedTicks::Burst].into_iter().enumerate() {
        set.set((id as u64).into(), MS, Some(Period::every(MS).missed(missed))).unwrap();
    }
    pass(1_000 * MS).await;
    let turns = inbox.take();
    assert_eq!((turns.len(), node.timers().len()), (3, 0), "nothing ticks for an actor that has no time");
    let ticks: Vec<_> =
        turns.iter().map(|turn| DueTurn::of(&**turn).unwrap().begin().unwrap().ticks()).collect();
    assert_eq!(ticks, [1_000, 1_000, 1]);
    assert!(turns.iter().all(|turn| DueTurn::of(&**turn).unwrap().begin().is_none()), "once each");
}

#[tokio::test(start_paused = true)]
async fn many_timers_fire_and_give_their_memory_back() {
    const MANY: u64 = 100_000;
    let (node, inbox) = (node(), Arc::<Inbox>::default());
    let set = set_of(&node, &inbox);
    for n in 0..MANY {
        set.set(n.into(), MS * (n * 7919 % 100_000) as u32, None).unwrap();
    }
    assert_eq!((set.len(), node.timers().len()), (MANY as usize, MANY as usize));
    assert_eq!(set.set(MANY.into(), MS, None), Err(TimerError::TooMany { limit: MANY as usize }));
    for n in (0..MANY).step_by(2) {
        assert!(set.cancel(n.into()));
    }
    let mut fired = 0;
    while fired < MANY / 2 {
        pass(1_000 * MS).await;
        for turn in inbox.take() {
            assert!(DueTurn::of(&*turn).unwrap().begin().is_some());
            fired += 1;
        }
    }
    assert_eq!((set.len(), node.timers().len()), (0, 0));
    assert!(room(&set) <= 64, "{} places are kept", room(&set));
}

#[tokio::test(start_paused = true)]
async fn the_driver_ends_with_its_node() {
    let node = node();
    let driver = Arc::downgrade(node.timers());
    assert!(driver.upgrade().is_some());
    drop(node);
    pass(MS).await;
    assert!(driver.upgrade().is_none());
}
