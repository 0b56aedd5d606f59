//! What every component and the engine share: messages in frames and their acknowledgement, the component
//! traits, configuration nodes, specs and lint. It knows no component and does no I/O.
//!
//! A component implements a raw trait ([`input::Reader`], [`output::Writer`], [`processor::Processor`], …) and
//! describes itself in a spec. The engine makes nodes of them ([`input::Input`], [`output::Output`]) that work
//! on frames ([`frame::Frame`]) whose batches each return an outcome to where they came from ([`ack::Origin`]).

pub use weir_bloblang as bloblang;

pub mod ack;
pub mod backoff;
pub mod batch;
pub mod buffer;
pub mod build_error;
pub mod cache;
pub mod checkpoint;
mod compat;
pub mod component;
pub mod context;
pub mod csv;
pub mod duration;
pub mod error;
pub mod expression;
pub mod field;
pub mod frame;
pub mod http;
mod infer;
pub mod input;
pub mod kind;
pub mod lint;
pub mod log;
pub mod metrics;
pub mod node;
pub mod node_serde;
pub mod output;
pub mod packed;
pub mod pipe;
pub mod prepare;
pub mod processor;
pub mod rate_limit;
pub mod refuse;
pub mod registry;
pub mod scanner;
pub mod scratch;
pub mod slot;
pub mod spec;
pub mod status;
pub mod sync_response;
pub mod trace;
pub mod view;
pub mod workshop;
pub mod yaml;
