//! Handlers that wait until their test lets them go on, and a log of what they did. No test sleeps for luck.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::sync::{Semaphore, watch};

/// Shared by a test and its actors.
#[derive(Clone)]
pub struct Script(Arc<Inner>);

struct Inner {
    log: watch::Sender<Vec<String>>,
    doors: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Default for Script {
    fn default() -> Self {
        Self(Arc::new(Inner { log: watch::Sender::new(Vec::new()), doors: Mutex::default() }))
    }
}

impl Script {
    /// Adds a line to the log.
    pub fn log(&self, line: impl Into<String>) {
        self.0.log.send_modify(|log| log.push(line.into()));
    }

    /// What was logged so far.
    pub fn lines(&self) -> Vec<String> {
        self.0.log.borrow().clone()
    }

    /// Logs "`name` begins", waits for [`open`](Self::open), logs "`name` ends"; or "`name` dropped" if it is dropped.
    pub async fn act(&self, name: &str) {
        let dropped = Dropped { script: self, name };
        self.log(format!("{name} begins"));
        // The door is never closed, only opened.
        let _ = self.door(name).acquire().await.map(tokio::sync::SemaphorePermit::forget);
        std::mem::forget(dropped);
        self.log(format!("{name} ends"));
    }

    /// Lets `name` go on, now or when it comes there.
    pub fn open(&self, name: &str) {
        self.door(name).add_permits(1);
    }

    /// Waits until the line was logged.
    pub async fn seen(&self, line: &str) {
        let mut log = self.0.log.subscribe();
        // The sender lives as long as the script.
        let _ = log.wait_for(|log| log.iter().any(|logged| logged == line)).await;
    }

    fn door(&self, name: &str) -> Arc<Semaphore> {
        let mut doors = self.0.doors.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        doors.entry(name.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(0))).clone()
    }
}

struct Dropped<'a> {
    script: &'a Script,
    name: &'a str,
}

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.script.log(format!("{} dropped", self.name));
    }
}
