//! The program as its users meet it: each test starts the built binary, or goes over every component it has.
//!
//! Nothing is retried: a test that fails now and then is a fault of the product or of the test. All traffic stays on
//! the loopback, and every wait has a deadline.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]
#![expect(clippy::disallowed_types, reason = "the program under test runs by the real clock")]

mod access;
mod alone;
mod behaviour;
mod buffer;
mod chaos;
mod client;
mod contract;
mod control;
mod ctl;
mod durability;
mod dynamic;
mod exports;
mod faults;
mod fields;
mod floods;
mod harness;
mod hostile;
mod http;
mod openapi;
mod peer;
mod places;
mod promises;
mod readme;
mod recorded;
mod secrets;
mod sockets;
mod survival;
mod traces;
mod watch;
mod websocket;
