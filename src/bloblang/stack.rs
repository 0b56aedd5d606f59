//! Recursion over values as deep as a mapping can build them.

/// Stack that one step of a recursion may need.
const LEFT: usize = 128 * 1024;
/// Stack added when less is left.
const MORE: usize = 4 * 1024 * 1024;

/// Whether there is stack enough for a step of a recursion.
#[inline]
pub(crate) fn is_roomy() -> bool {
    stacker::remaining_stack().is_some_and(|left| left >= LEFT)
}

/// Runs a step of a recursion, on more stack if little is left.
#[inline]
pub(crate) fn deep<T>(step: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(LEFT, MORE, step)
}

#[cfg(test)]
mod tests {
    use crate::object::Object;
    use crate::value::Value;

    #[test]
    fn no_depth_overflows() {
        let make = || {
            (0..200_000).fold(Value::Null, |inner, n| {
                if n % 2 == 0 {
                    vec![inner].into()
                } else {
                    Value::object([("a", inner)].into_iter().collect::<Object>())
                }
            })
        };
        assert!(make().equals(&make()));
        let text = "[".repeat(9000) + &"]".repeat(9000);
        let parsed = Value::parse_json(text.clone().into_bytes()).unwrap();
        assert_eq!(parsed.clone().into_owned().to_json(), text);
        assert!(parsed.equals(&parsed));
    }
}
