//! An actor with timers, once and periodic: `cargo run --example timers`. A kitchen's minutes are 100 ms long.

use std::error::Error;

use actor_runtime::{TimerId, prelude::*};

const MINUTE: Duration = Duration::from_millis(100);
const CLOCK: TimerId = TimerId::named("clock");

#[actor_service]
trait Kitchen {
    /// Boils eggs for so many minutes each. Answered when the last one is done: how long that took.
    async fn boil(&mut self, eggs: Vec<u32>, reply: ReplyTo<u64>);
}

#[derive(Default)]
struct Cook {
    minutes: u64,
    customer: Option<ReplyTo<u64>>,
}

impl Actor for Cook {
    type Services = (KitchenService,);

    async fn on_timeout(&mut self, timeout: Timeout) {
        match timeout.id() {
            CLOCK => self.minutes += timeout.ticks(),
            egg => println!("minute {}: {egg} is done", self.minutes),
        }
        let timers = current_ctx().expect("this is a turn").timers();
        // Nothing but the clock is left.
        if let Some(reply) = self.customer.take_if(|_| timers.len() == 1) {
            timers.cancel(CLOCK);
            let _ = reply.send(self.minutes);
        }
    }
}

#[actor_service(part)]
impl Kitchen for Cook {
    async fn boil(&mut self, eggs: Vec<u32>, reply: ReplyTo<u64>) {
        let timers = current_ctx().expect("this is a turn").timers();
        timers.periodic(CLOCK, MINUTE).expect("there is room for timers");
        for (egg, minutes) in (1..).zip(eggs) {
            let done = MINUTE * minutes + MINUTE / 2;
            timers.once(TimerId::of("egg", egg), done).expect("there is room for timers");
        }
        self.customer = Some(reply);
    }
}

#[actor_runtime::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = ActorServer::bind("loopback:0").await?;
    server.register("kitchen", Cook::default())?;
    let kitchen = KitchenClient::new(&server.resolver(), "kitchen");
    println!("all eggs are done after {} minutes", kitchen.boil(vec![3, 10, 6]).await?);
    Ok(())
}
