//! The buffers that mappings reuse, one set a thread.

use std::cell::RefCell;
use weir_bloblang::Scratch;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Runs with this thread's buffers.
pub fn with_scratch<T>(run: impl FnOnce(&mut Scratch) -> T) -> T {
    SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
        Ok(mut scratch) => run(&mut scratch),
        // A mapping never runs a processor; should that change, fresh buffers serve.
        Err(_) => run(&mut Scratch::default()),
    })
}
