//! The reference's sort: pattern-defeating quicksort, with its own choice of pivots. Not stable, but always
//! the same, so equal items end up where they do there. All comparisons are by position.

/// Sorts a slice by a comparison of positions.
pub(crate) struct Sorter<'a, T, F> {
    items: &'a mut [T],
    less: F,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hint {
    Unknown,
    Increasing,
    Decreasing,
}

/// The pseudo-random numbers that break patterns: seeded by the length, hence reproducible.
struct XorShift(u64);

impl XorShift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Number of bits a length takes.
fn bit_length(length: usize) -> u32 {
    usize::BITS - length.leading_zeros()
}

impl<'a, T, F: FnMut(&[T], usize, usize) -> bool> Sorter<'a, T, F> {
    pub(crate) fn new(items: &'a mut [T], less: F) -> Self {
        Self { items, less }
    }

    pub(crate) fn sort(mut self) {
        let len = self.items.len();
        self.quick(0, len, bit_length(len));
    }

    fn less(&mut self, i: usize, j: usize) -> bool {
        (self.less)(self.items, i, j)
    }

    fn swap(&mut self, i: usize, j: usize) {
        self.items.swap(i, j);
    }

    fn insertion(&mut self, from: usize, to: usize) {
        for i in from + 1..to {
            let mut j = i;
            while j > from && self.less(j, j - 1) {
                self.swap(j, j - 1);
                j -= 1;
            }
        }
    }

    fn sift_down(&mut self, low: usize, high: usize, first: usize) {
        let mut root = low;
        loop {
            let mut child = 2 * root + 1;
            if child >= high {
                return;
            }
            if child + 1 < high && self.less(first + child, first + child + 1) {
                child += 1;
            }
            if !self.less(first + root, first + child) {
                return;
            }
            self.swap(first + root, first + child);
            root = child;
        }
    }

    fn heap(&mut self, from: usize, to: usize) {
        let len = to - from;
        for low in (0..=(len.saturating_sub(1)) / 2).rev() {
            self.sift_down(low, len, from);
        }
        for high in (0..len).rev() {
            self.swap(from, from + high);
            self.sift_down(0, high, from);
        }
    }

    fn quick(&mut self, mut from: usize, mut to: usize, mut limit: u32) {
        let (mut balanced, mut partitioned) = (true, true);
        loop {
            let len = to - from;
            if len <= 12 {
                return self.insertion(from, to);
            }
            if limit == 0 {
                return self.heap(from, to);
            }
            if !balanced {
                self.break_patterns(from, to);
                limit -= 1;
            }
            let (mut pivot, mut hint) = self.choose_pivot(from, to);
            if hint == Hint::Decreasing {
                self.reverse(from, to);
                pivot = (to - 1) - (pivot - from);
                hint = Hint::Increasing;
            }
            if balanced && partitioned && hint == Hint::Increasing && self.partial_insertion(from, to) {
                return;
            }
            // A pivot equal to the item before the range: split off those equal to it.
            if from > 0 && !self.less(from - 1, pivot) {
                from = self.partition_equal(from, to, pivot);
                continue;
            }
            let (middle, already) = self.partition(from, to, pivot);
            partitioned = already;
            let (left, right) = (middle - from, to - middle);
            if left < right {
                balanced = left >= len / 8;
                self.quick(from, middle, limit);
                from = middle + 1;
            } else {
                balanced = right >= len / 8;
                self.quick(middle + 1, to, limit);
                to = middle;
            }
        }
    }

    fn partition(&mut self, from: usize, to: usize, pivot: usize) -> (usize, bool) {
        self.swap(from, pivot);
        let (mut i, mut j) = (from + 1, to - 1);
        while i <= j && self.less(i, from) {
            i += 1;
        }
        while i <= j && !self.less(j, from) {
            j -= 1;
        }
        if i > j {
            self.swap(j, from);
            return (j, true);
        }
        self.swap(i, j);
        i += 1;
        j -= 1;
        loop {
            while i <= j && self.less(i, from) {
                i += 1;
            }
            while i <= j && !self.less(j, from) {
                j -= 1;
            }
            if i > j {
                break;
            }
            self.swap(i, j);
            i += 1;
            j -= 1;
        }
        self.swap(j, from);
        (j, false)
    }

    fn partition_equal(&mut self, from: usize, to: usize, pivot: usize) -> usize {
        self.swap(from, pivot);
        let (mut i, mut j) = (from + 1, to - 1);
        loop {
            while i <= j && !self.less(from, i) {
                i += 1;
            }
            while i <= j && self.less(from, j) {
                j -= 1;
            }
            if i > j {
                return i;
            }
            self.swap(i, j);
            i += 1;
            j -= 1;
        }
    }

    /// Sorts what is almost sorted; gives up after five out-of-order pairs.
    fn partial_insertion(&mut self, from: usize, to: usize) -> bool {
        let mut i = from + 1;
        for _ in 0..5 {
            while i < to && !self.less(i, i - 1) {
                i += 1;
            }
            if i == to {
                return true;
            }
            if to - from < 50 {
                return false;
            }
            self.swap(i, i - 1);
            if i - from >= 2 {
                for j in (1..i).rev() {
                    if !self.less(j, j - 1) {
                        break;
                    }
                    self.swap(j, j - 1);
                }
            }
            if to - i >= 2 {
                for j in i + 1..to {
                    if !self.less(j, j - 1) {
                        break;
                    }
                    self.swap(j, j - 1);
                }
            }
        }
        false
    }

    fn break_patterns(&mut self, from: usize, to: usize) {
        let len = to - from;
        if len < 8 {
            return;
        }
        let mut random = XorShift(len as u64);
        let modulus = 1usize << bit_length(len);
        let middle = from + (len / 4) * 2 - 1;
        for i in 0..3 {
            let mut other = usize::try_from(random.next() & (modulus as u64 - 1)).unwrap_or(0);
            if other >= len {
                other -= len;
            }
            self.swap(middle - 1 + i, from + other);
        }
    }

    fn choose_pivot(&mut self, from: usize, to: usize) -> (usize, Hint) {
        let len = to - from;
        let mut swaps = 0;
        let (mut i, mut j, mut k) = (from + len / 4, from + len / 4 * 2, from + len / 4 * 3);
        if len >= 8 {
            if len >= 50 {
                i = self.median(i - 1, i, i + 1, &mut swaps);
                j = self.median(j - 1, j, j + 1, &mut swaps);
                k = self.median(k - 1, k, k + 1, &mut swaps);
            }
            j = self.median(i, j, k, &mut swaps);
        }
        match swaps {
            0 => (j, Hint::Increasing),
            12 => (j, Hint::Decreasing),
            _ => (j, Hint::Unknown),
        }
    }

    fn median(&mut self, mut a: usize, mut b: usize, mut c: usize, swaps: &mut u32) -> usize {
        for second in [false, true, false] {
            let (low, high) = if second { (&mut b, &mut c) } else { (&mut a, &mut b) };
            if (self.less)(self.items, *high, *low) {
                *swaps += 1;
                std::mem::swap(low, high);
            }
        }
        b
    }

    fn reverse(&mut self, from: usize, to: usize) {
        if let Some(range) = self.items.get_mut(from..to) {
            range.reverse();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_whatever_the_pattern() {
        for len in [0usize, 1, 2, 12, 13, 49, 50, 200, 1000] {
            for pattern in 0..5usize {
                let make = |i: usize| match pattern {
                    0 => i,
                    1 => len - i,
                    2 => i % 7,
                    3 => i.wrapping_mul(2_654_435_761) % 1009,
                    _ => usize::from(i == len / 2),
                };
                let mut items: Vec<usize> = (0..len).map(make).collect();
                let mut want = items.clone();
                want.sort_unstable();
                Sorter::new(&mut items, |items: &[usize], i, j| items[i] < items[j]).sort();
                assert_eq!(items, want, "{len} {pattern}");
            }
        }
    }

    #[test]
    fn a_comparison_that_contradicts_itself_ends() {
        let mut items = vec![0; 100];
        let mut flip = false;
        Sorter::new(&mut items, |_: &[i32], _, _| {
            flip = !flip;
            flip
        })
        .sort();
    }
}
