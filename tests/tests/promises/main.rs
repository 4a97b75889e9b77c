//! What a program relies on, promise by promise. One program for all of them: linking one takes seconds and disk. Those that need
//! the one subscriber or recorder of a process are programs of their own.

mod clients_in_messages;
mod context;
mod dial_policy;
mod direct;
mod layers;
mod layers_limit;
mod misuse;
mod names;
mod oneway;
mod reply_to;
mod s10_attempts;
mod s10_delivery;
mod s10_retries;
mod s12_identity;
mod s1_turns;
mod s2_order;
mod s3_mailbox;
mod s4_panics;
mod s5_cycles;
mod s6_carriers;
mod s6_endings;
mod s7_cancellation;
mod s7_cancelled;
mod s7_stages;
mod s8_deadlines;
mod s9_life;
mod s9_supervision;
mod s9_table;
mod simulated;
mod stream_endings;
mod streams;
mod testing_kit;
mod timers;
mod values;
mod watching;
