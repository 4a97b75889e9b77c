//! A service in a crate that denies all lints it can.

use renamed::prelude::*;

/// Why a booking was refused.
#[message(crate = renamed)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is not so much.
    Overdrawn {
        /// What there is.
        balance: u64,
    },
}

/// A ledger of one account.
#[actor_service(crate = renamed)]
pub trait Ledger {
    /// Takes from the account.
    async fn take(&mut self, amount: u64, reason: &str) -> Result<u64, Refusal>;
    /// The lines so far.
    async fn lines(&self) -> Vec<String>;
    /// What nobody should call any more.
    #[deprecated = "call `lines`"]
    async fn balance(&self) -> u64 {
        0
    }
}

/// The account.
#[derive(Debug)]
pub struct Account {
    /// What there is.
    balance: u64,
    /// What happened.
    lines: Vec<String>,
}

impl Account {
    /// An account that holds so much.
    #[must_use]
    pub const fn new(balance: u64) -> Self {
        Self { balance, lines: Vec::new() }
    }
}

#[actor_service(crate = renamed)]
impl Ledger for Account {
    async fn take(&mut self, amount: u64, reason: &str) -> Result<u64, Refusal> {
        let balance = self.balance.checked_sub(amount).ok_or(Refusal::Overdrawn { balance: self.balance })?;
        self.balance = balance;
        self.lines.push(format!("{reason}: {amount}"));
        Ok(balance)
    }

    async fn lines(&self) -> Vec<String> {
        self.lines.clone()
    }
}
