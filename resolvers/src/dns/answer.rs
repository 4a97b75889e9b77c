//! What an answer of a server says about a name.

use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// How many aliases are followed.
pub(super) const MOST_ALIASES: usize = 8;

/// What is known of a name.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The records of the kind that was asked for.
    pub(super) records: Vec<Record>,
    /// Other records that came along.
    pub(super) additional: Vec<Record>,
    /// For how many seconds it is right.
    pub(super) ttl: u32,
}

/// What the records of an answer say about a name.
#[derive(Debug, PartialEq)]
pub(super) enum Chased {
    /// These records are of the kind, and right for so many seconds.
    Found(Vec<Record>, u32),
    /// It is another name for this one, for so many seconds.
    Alias(Name, u32),
    Nothing,
}

/// Follows the aliases of a name to its records.
pub(super) fn chase(records: &[Record], name: &Name, kind: RecordType) -> Chased {
    let (mut at, mut ttl) = (name.clone(), u32::MAX);
    for _ in 0..MOST_ALIASES {
        let found: Vec<_> = records
            .iter()
            .filter(|record| record.record_type() == kind && record.name == at)
            .cloned()
            .collect();
        if !found.is_empty() {
            let ttl = found.iter().map(|record| record.ttl).fold(ttl, u32::min);
            return Chased::Found(found, ttl);
        }
        let alias = records.iter().filter(|record| record.name == at).find_map(|record| match &record.data {
            RData::CNAME(alias) => Some((alias.0.clone(), record.ttl)),
            _ => None,
        });
        let Some((next, seconds)) = alias else { break };
        (at, ttl) = (next, ttl.min(seconds));
    }
    if at == *name { Chased::Nothing } else { Chased::Alias(at, ttl) }
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::rdata::{A, CNAME};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).expect("a name")
    }

    fn alias(of: &str, to: &str, ttl: u32) -> Record {
        Record::from_rdata(name(of), ttl, RData::CNAME(CNAME(name(to))))
    }

    #[test]
    fn aliases_are_followed_in_any_order_and_any_case_with_the_shortest_ttl() {
        let address = Record::from_rdata(name("C.example."), 30, RData::A(A::new(127, 0, 0, 1)));
        let other = Record::from_rdata(name("d.example."), 1, RData::A(A::new(127, 0, 0, 2)));
        let records = [
            address.clone(),
            alias("b.example.", "c.example.", 20),
            alias("a.example.", "B.example.", 40),
            other,
        ];
        assert_eq!(chase(&records, &name("a.example."), RecordType::A), Chased::Found(vec![address], 20));
    }

    #[test]
    fn an_alias_may_lead_out_of_the_answer_or_nowhere() {
        let records = [alias("a.example.", "b.example.", 40)];
        let found = chase(&records, &name("a.example."), RecordType::SRV);
        assert_eq!(found, Chased::Alias(name("b.example."), 40));
        assert_eq!(chase(&records, &name("x.example."), RecordType::SRV), Chased::Nothing);
    }

    #[test]
    fn aliases_in_a_circle_end() {
        let records = [alias("a.example.", "b.example.", 40), alias("b.example.", "a.example.", 40)];
        assert_eq!(chase(&records, &name("a.example."), RecordType::A), Chased::Nothing);
    }
}
