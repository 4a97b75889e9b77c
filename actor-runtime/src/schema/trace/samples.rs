//! The answers that are tried, likeliest first.
//!
//! Most types take the first. The others are for types that validate: something that is not zero, sixteen bytes, an
//! address, a date. The order matters little, the first two entries of each list most: the second look uses the second.

use super::position::Leaf;

pub(super) const INTEGERS: &[i8] = &[1, 2, 0, -1, 3, 4, 8, 10, 16, 24, 31, 32, 60, 64, 100, 127];
/// For integers too wide for [`INTEGERS`]: years, powers of two, seconds.
pub(super) const LARGE: &[u32] = &[256, 1000, 1024, 2000, 4096, 65535, 1_000_000, 1_700_000_000];
pub(super) const FLOATS: &[f32] = &[1.0, 0.5, 0.0, -1.0, 2.0, 10.0, 100.0];
pub(super) const CHARS: &[char] = &['a', 'b', 'A', '0', '1', ' ', '-', '/', 'é'];
pub(super) const STRINGS: &[&str] = &[
    "a",
    "b",
    "",
    "1",
    "0",
    "A",
    "abc",
    "12345678",
    "127.0.0.1",
    "127.0.0.1:1",
    "::1",
    "[::1]:1",
    "10.0.0.0/8",
    "http://a.example/",
    "a.example",
    "a@a.example",
    "67e55044-10b1-426f-9247-bb680e5fe0c8",
    "2020-01-01T00:00:00Z",
    "2020-01-01T00:00:00",
    "2020-01-01",
    "00:00:00",
    "PT1S",
    "1s",
    "UTC",
    "1.0.0",
    "1.0",
    "01:02:03:04:05:06",
    "en",
    "/",
    "/a",
    "text/plain",
    "true",
    "{}",
    "#000000",
    "0x1",
    "+15550100",
    "a/b",
    "a:b",
    "a-b",
    "00000000000000000000000000000001",
];
/// The lengths of byte strings; all bytes are 1.
pub(super) const BYTES: &[usize] = &[1, 2, 0, 16, 32, 4, 8, 20, 24, 28, 64, 6, 12, 33, 48, 65, 96, 128, 3, 5];
pub(super) const ONES: &[u8] = &[1; 128];
/// The lengths of sequences and maps that have something to show.
pub(super) const LENGTHS: &[usize] = &[1, 2, 0, 3, 4, 16, 32, 8, 6, 12, 20, 24, 64];
/// The lengths of sequences and maps that need not show anything.
pub(super) const CLOSED_LENGTHS: &[usize] = &[0, 1, 2, 3, 4, 16, 32, 8];

/// How many samples there are for a leaf.
pub(super) fn count(leaf: Leaf) -> usize {
    match leaf {
        Leaf::Bool => 2,
        Leaf::U8 | Leaf::I8 => INTEGERS.len(),
        Leaf::U16 | Leaf::U32 | Leaf::U64 | Leaf::U128 | Leaf::I16 | Leaf::I32 | Leaf::I64 | Leaf::I128 => {
            INTEGERS.len() + LARGE.len()
        }
        Leaf::F32 | Leaf::F64 => FLOATS.len(),
        Leaf::Char => CHARS.len(),
        Leaf::String => STRINGS.len(),
        Leaf::Bytes => BYTES.len(),
        Leaf::Unit => 1,
    }
}

/// Entry `n` of a list that is taken to go round for ever.
pub(super) fn nth<T: Copy>(list: &[T], n: usize) -> T {
    list[n % list.len()]
}

/// Integer `n`. Callers cut it to their width; an unsigned reader sees -1 as its largest value.
#[inline(never)]
pub(super) fn integer(n: usize, wide: bool) -> i64 {
    let n = if wide { n % (INTEGERS.len() + LARGE.len()) } else { n % INTEGERS.len() };
    match INTEGERS.get(n) {
        Some(small) => i64::from(*small),
        None => i64::from(nth(LARGE, n - INTEGERS.len())),
    }
}
