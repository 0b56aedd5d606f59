//! What is counted of each kind of component; names as in the reference.

use weir_core::metrics::Family;

/// Counters of an input, by index.
pub(crate) mod input {
    pub(crate) const RECEIVED: usize = 0;
    pub(crate) const UP: usize = 1;
    pub(crate) const FAILED: usize = 2;
    pub(crate) const LOST: usize = 3;
}

/// Counters of a processor, by index.
pub(crate) mod processor {
    pub(crate) const RECEIVED: usize = 0;
    pub(crate) const BATCH_RECEIVED: usize = 1;
    pub(crate) const SENT: usize = 2;
    pub(crate) const BATCH_SENT: usize = 3;
    pub(crate) const ERROR: usize = 4;
}

/// Counters of an output, by index.
pub(crate) mod output {
    pub(crate) const SENT: usize = 0;
    pub(crate) const BATCH_SENT: usize = 1;
    pub(crate) const ERROR: usize = 2;
    pub(crate) const REJECTED: usize = 3;
    pub(crate) const UP: usize = 4;
    pub(crate) const FAILED: usize = 5;
    pub(crate) const LOST: usize = 6;
}

pub(crate) static INPUT: Family = Family {
    counters: &[
        ("input_received", &[]),
        ("input_connection_up", &[]),
        ("input_connection_failed", &[]),
        ("input_connection_lost", &[]),
    ],
    timer: "input_latency_ns",
};

/// Of an input that messages are sent to: the first of the counters above.
pub(crate) static SERVED_INPUT: Family =
    Family { counters: &[("input_received", &[])], timer: "input_latency_ns" };

/// Counters of a buffer, by index.
pub(crate) mod buffer {
    pub(crate) const RECEIVED: usize = 0;
    pub(crate) const BATCH_RECEIVED: usize = 1;
    pub(crate) const SENT: usize = 2;
    pub(crate) const BATCH_SENT: usize = 3;
}

pub(crate) static BUFFER: Family = Family {
    counters: &[
        ("buffer_received", &[]),
        ("buffer_batch_received", &[]),
        ("buffer_sent", &[]),
        ("buffer_batch_sent", &[]),
    ],
    timer: "buffer_latency_ns",
};

pub(crate) static PROCESSOR: Family = Family {
    counters: &[
        ("processor_received", &[]),
        ("processor_batch_received", &[]),
        ("processor_sent", &[]),
        ("processor_batch_sent", &[]),
        ("processor_error", &[]),
    ],
    timer: "processor_latency_ns",
};

pub(crate) static OUTPUT: Family = Family {
    counters: &[
        ("output_sent", &[]),
        ("output_batch_sent", &[]),
        ("output_error", &[]),
        ("output_rejected", &[]),
        ("output_connection_up", &[]),
        ("output_connection_failed", &[]),
        ("output_connection_lost", &[]),
    ],
    timer: "output_latency_ns",
};
