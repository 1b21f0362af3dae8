//! Spans of time as pairs of microseconds; pure.

/// From, until.
pub type Span = (i64, i64);

/// What is in any of these spans, in order and without overlaps.
pub fn union(mut spans: Vec<Span>) -> Vec<Span> {
    spans.retain(|(from, until)| from < until);
    spans.sort_unstable();
    let mut joined: Vec<Span> = Vec::new();
    for (from, until) in spans {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(until),
            _ => joined.push((from, until)),
        }
    }
    joined
}

/// What is in `spans`, but in none of `others`.
pub fn without(spans: &[Span], others: &[Span]) -> Vec<Span> {
    let mut left = union(spans.to_vec());
    for &(from, until) in others {
        left = left.into_iter().flat_map(|(a, b)| [(a, b.min(from)), (a.max(until), b)]).collect();
        left.retain(|(a, b)| a < b);
    }
    union(left)
}

/// How long both last.
pub fn overlap(span: Span, others: &[Span]) -> i64 {
    others.iter().map(|(from, until)| (span.1.min(*until) - span.0.max(*from)).max(0)).sum()
}

#[test]
fn spans_are_joined_cut_and_measured() {
    assert_eq!(union(vec![(5, 7), (1, 3), (2, 4), (9, 9)]), [(1, 4), (5, 7)]);
    assert_eq!(without(&[(0, 10)], &[(2, 4), (8, 12)]), [(0, 2), (4, 8)]);
    assert_eq!(overlap((1, 6), &[(0, 2), (4, 8)]), 3);
}
