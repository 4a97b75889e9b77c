//! The figures as people and programs read them.

use crate::{
    arguments::{PeerName, Row, RuntimeName},
    rounds::Results,
    spread::{Spread, line},
};

/// What is shown: where it comes from, what it is called, and how many decimals mean something.
const METRICS: &[(Row, &str, &str, usize)] = &[
    (Row::Alone, "ns", "ask, one caller: ns an ask", 0),
    (Row::Alone, "p50", "ask, one caller: p50 in ns, reading the clock included", 0),
    (Row::Alone, "p99", "ask, one caller: p99 in ns, reading the clock included", 0),
    (Row::Callers64, "million_per_s", "ask, 64 callers: million asks a second", 2),
    (Row::Spawn, "ns", "spawn: ns an actor", 0),
    (Row::Memory, "idle_bytes", "heap of an actor that was never called: bytes", 0),
    (Row::Memory, "called_bytes", "heap of an actor that was called once: bytes", 0),
    (Row::Memory, "idle_resident", "resident memory of an actor that was never called: bytes", 0),
    (Row::Memory, "ask_allocations", "ask, one caller: allocations an ask", 2),
    (Row::Memory, "ask_bytes", "ask, one caller: bytes allocated an ask", 0),
];

/// The table for people.
pub(crate) fn table(results: &Results) -> String {
    let mut text = String::new();
    for &runtime in RuntimeName::ALL {
        let name = match runtime {
            RuntimeName::Multi => "multi-thread runtime, 2 workers",
            RuntimeName::Current => "current_thread runtime",
        };
        line(&mut text, format_args!("\n== {name} =="));
        for &(row, metric, title, decimals) in METRICS {
            line(&mut text, format_args!("\n{title}"));
            let floor = values(results, row, metric, runtime, PeerName::Tokio);
            for &peer in PeerName::ALL {
                let values = values(results, row, metric, runtime, peer);
                let ratios: Vec<f64> =
                    values.iter().zip(&floor).map(|(value, floor)| value / floor).collect();
                let (Some(spread), Some(ratio)) = (Spread::of(&values), Spread::of(&ratios)) else {
                    continue;
                };
                let (figure, ratio) = (spread.text(decimals), ratio.text(2));
                line(&mut text, format_args!("  {:<22}{figure:<26}× {ratio}", title_of(peer)));
            }
        }
    }
    let spread =
        Spread::of(&results.foreign).map_or_else(|| "unknown".to_owned(), |foreign| foreign.percent());
    line(
        &mut text,
        format_args!(
            "\nmedian (min–max) of {} interleaved rounds, a process for each measurement; × is the ratio to bare tokio \
             in the same round\nother load on the machine while measuring: {spread}; {} of {} measurements repeated for \
             it, {} kept although disturbed",
            results.effort.rounds,
            results.repeated,
            results.foreign.len(),
            results.disturbed,
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
                r#"{{"runtime":"{}","row":"{}","peer":"{}","round":{},"metric":"{}","value":{value}}}"#,
                e.runtime, e.row, e.peer, figure.round, figure.metric
            )
        })
        .collect();
    let foreign: Vec<String> = results.foreign.iter().map(|foreign| format!("{foreign:.4}")).collect();
    format!(
        "{{\"rounds\":{},\"repeated\":{},\"disturbed\":{},\"foreign\":[{}],\n\"figures\":[\n{}\n]}}\n",
        results.effort.rounds,
        results.repeated,
        results.disturbed,
        foreign.join(","),
        figures.join(",\n")
    )
}

fn title_of(peer: PeerName) -> &'static str {
    match peer {
        PeerName::Tokio => "bare tokio",
        PeerName::Kanal => "bare kanal",
        PeerName::DirectMut => "direct, &mut self",
        PeerName::DirectRef => "direct, &self",
        PeerName::EncodedMut => "encoded, &mut self",
        PeerName::EncodedRef => "encoded, &self",
    }
}

/// One value a round, in the order of the rounds.
fn values(results: &Results, row: Row, metric: &str, runtime: RuntimeName, peer: PeerName) -> Vec<f64> {
    let figures = results.figures.iter().filter(|figure| {
        let e = figure.experiment;
        e.row == row && e.runtime == runtime && e.peer == peer && figure.metric == metric
    });
    figures.map(|figure| figure.value).collect()
}
