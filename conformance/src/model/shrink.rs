//! Delta debugging: the shortest sequence that still fails, found by leaving parts out.
//!
//! Source: Zeller, Hildebrandt, "Simplifying and isolating failure-inducing input", 2002. Parts of half the sequence are left out
//! first, then of a quarter, down to single items; what still fails without a part never gets it back.

/// Leaves out of `items` what `fails` does not need.
pub(super) fn shrink<T: Clone>(mut items: Vec<T>, mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut part = items.len().div_ceil(2);
    while part > 0 && items.len() > 1 {
        let (mut start, before) = (0, items.len());
        while start < items.len() {
            let end = (start + part).min(items.len());
            let mut fewer = items[..start].to_vec();
            fewer.extend_from_slice(&items[end..]);
            if !fewer.is_empty() && fails(&fewer) {
                items = fewer;
            } else {
                start = end;
            }
        }
        if part == 1 && items.len() == before {
            break;
        }
        part = (part / 2).max(1);
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_items_that_the_failure_needs_are_left() {
        let needed = |items: &[u32]| items.contains(&17) && items.contains(&800);
        assert_eq!(shrink((0..1000).collect(), needed), [17, 800]);
    }

    #[test]
    fn a_failure_of_one_item_is_one_item() {
        assert_eq!(shrink((0..64).collect(), |items: &[u32]| items.contains(&63)), [63]);
    }
}
