//! The figures as people and programs read them.

use crate::{
    arguments::{PeerName, Row, Threads},
    rounds::Results,
    spread::{Spread, line},
};

/// What is shown: where it comes from, what it is called, and how many decimals mean something.
const METRICS: &[(Row, &str, &str, usize)] = &[
    (Row::Alone, "p50", "ask alone, p50 ns (with the clock)", 0),
    (Row::Alone, "ns", "ask alone, ns", 0),
    (Row::Callers64, "million_per_s", "ask, 64 callers, M/s ↑", 2),
    (Row::Tell1, "million_per_s", "tell, 1 producer, M/s ↑", 2),
    (Row::Tell4, "million_per_s", "tell, 4 producers, M/s ↑", 2),
    (Row::Life, "ns", "start + first ask + stop, ns", 0),
    (Row::FanOut, "us", "fan-out to 1,000, µs", 0),
    (Row::Memory, "idle_bytes", "heap of an idle actor, bytes", 0),
    (Row::Memory, "called_bytes", "heap after its first ask, bytes", 0),
    (Row::Memory, "ask_allocations", "allocations an ask", 2),
    (Row::Memory, "ask_bytes", "bytes allocated an ask", 0),
];

/// The tables for people, in Markdown.
pub(crate) fn tables(results: &Results) -> String {
    let mut text = String::new();
    for &threads in Threads::ALL {
        let name = match threads {
            Threads::One => "one thread (current_thread)",
            Threads::Two => "two workers (multi_thread)",
        };
        line(&mut text, format_args!("\n### {name}\n"));
        head(&mut text, PeerName::ALL);
        for &(row, metric, title, decimals) in METRICS {
            let cells = PeerName::ALL.iter().map(|&peer| {
                let spread = Spread::of(&values(results, row, metric, threads, peer));
                spread.map_or_else(String::new, |spread| spread.text(decimals))
            });
            cells_of(&mut text, title, cells);
        }
        line(&mut text, format_args!("\nours / peer\n"));
        let peers: Vec<PeerName> =
            PeerName::ALL.iter().copied().filter(|&peer| peer != PeerName::Ours).collect();
        head(&mut text, &peers);
        for &(row, metric, title, _) in METRICS {
            let ours = values(results, row, metric, threads, PeerName::Ours);
            let cells = peers.iter().map(|&peer| {
                let theirs = values(results, row, metric, threads, peer);
                // An allocator that is never asked: nothing can be said as a ratio.
                let ratios: Vec<f64> = ours
                    .iter()
                    .zip(&theirs)
                    .map(|(ours, theirs)| ours / theirs)
                    .filter(|r| r.is_finite())
                    .collect();
                Spread::of(&ratios).map_or_else(|| "–".to_owned(), |spread| spread.text(2))
            });
            cells_of(&mut text, title, cells);
        }
    }
    let foreign =
        Spread::of(&results.foreign).map_or_else(|| "unknown".to_owned(), |foreign| foreign.percent());
    line(
        &mut text,
        format_args!(
            "\nMedian (min–max) of {} interleaved rounds of {:?} each, a process for each measurement; ratios are those of \
             the same round. Where ↑ stands more is better, elsewhere less is. Other load on the machine while measuring: \
             {foreign}.",
            results.effort.rounds, results.effort.time,
        ),
    );
    text
}

/// Every figure of every round, for programs.
pub(crate) fn json(results: &Results) -> String {
    let figures: Vec<String> = results
        .figures
        .iter()
        .map(|figure| {
            let (e, value) = (figure.experiment, figure.value);
            let value = if value.is_finite() { value.to_string() } else { "null".to_owned() };
            format!(
                r#"{{"threads":"{}","row":"{}","peer":"{}","round":{},"metric":"{}","value":{value}}}"#,
                e.threads, e.row, e.peer, figure.round, figure.metric
            )
        })
        .collect();
    let foreign: Vec<String> = results.foreign.iter().map(|foreign| format!("{foreign:.4}")).collect();
    format!(
        "{{\"rounds\":{},\"seconds\":{},\"foreign\":[{}],\n\"figures\":[\n{}\n]}}\n",
        results.effort.rounds,
        results.effort.time.as_secs_f64(),
        foreign.join(","),
        figures.join(",\n")
    )
}

fn head(text: &mut String, peers: &[PeerName]) {
    let names: Vec<&str> = peers.iter().map(|&peer| title_of(peer)).collect();
    line(text, format_args!("| | {} |", names.join(" | ")));
    line(text, format_args!("|---|{}", "---|".repeat(names.len())));
}

fn cells_of(text: &mut String, title: &str, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = cells.collect();
    line(text, format_args!("| {title} | {} |", cells.join(" | ")));
}

fn title_of(peer: PeerName) -> &'static str {
    match peer {
        PeerName::Tokio => "bare tokio",
        PeerName::Kanal => "bare kanal",
        PeerName::Actix => "actix",
        PeerName::Kameo => "kameo",
        PeerName::Ractor => "ractor",
        PeerName::Xtra => "xtra",
        PeerName::Ours => "ours",
    }
}

/// One value a round, in the order of the rounds.
fn values(results: &Results, row: Row, metric: &str, threads: Threads, peer: PeerName) -> Vec<f64> {
    let figures = results.figures.iter().filter(|figure| {
        let e = figure.experiment;
        e.row == row && e.threads == threads && e.peer == peer && figure.metric == metric
    });
    figures.map(|figure| figure.value).collect()
}
