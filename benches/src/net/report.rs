//! The figures as people and programs read them.

use super::{
    arguments::{PeerName, Row},
    quic,
    rounds::{QUIET, Results, Run},
};
use crate::spread::{Spread, line};

/// What is shown: where it comes from, what it is called, by what it is divided, how many decimals mean something.
const METRICS: &[(Row, &str, &str, f64, usize)] = &[
    (Row::Seq, "p50_us", "one call in flight: p50 in µs", 1.0, 1),
    (Row::Seq, "p99_us", "one call in flight: p99 in µs", 1.0, 1),
    (Row::Seq, "cpu_us", "one call in flight: CPU µs a call, both sides", 1.0, 1),
    (Row::SeqPinned, "p50_us", "one call in flight, both processes on one processor: p50 in µs", 1.0, 1),
    (Row::Callers64, "per_s", "64 in flight: thousand calls a second", 1e3, 0),
    (Row::Callers64, "cpu_us", "64 in flight: CPU µs a call, both sides", 1.0, 2),
    (Row::Callers512, "per_s", "512 in flight: thousand calls a second", 1e3, 0),
    (Row::Callers512, "cpu_us", "512 in flight: CPU µs a call, both sides", 1.0, 2),
    (Row::Apart64, "per_s", "64 in flight, a processor each: thousand calls a second", 1e3, 0),
    (Row::Apart64, "cpu_us", "64 in flight, a processor each: CPU µs a call, both sides", 1.0, 2),
    (Row::Apart512, "per_s", "512 in flight, a processor each: thousand calls a second", 1e3, 0),
    (Row::Apart512, "cpu_us", "512 in flight, a processor each: CPU µs a call, both sides", 1.0, 2),
    (Row::Mib, "per_s", "1 MiB there and back, one in flight: MiB/s", 1.0, 0),
    (Row::Mib, "cpu_us", "1 MiB there and back, one in flight: CPU ms a body, both sides", 1e3, 2),
    (Row::Mib8, "per_s", "1 MiB there and back, eight in flight: MiB/s", 1.0, 0),
    (Row::Mib8, "cpu_us", "1 MiB there and back, eight in flight: CPU ms a body, both sides", 1e3, 2),
    (Row::Connect, "p50_us", "a connection and its first call: p50 in µs", 1.0, 0),
    (Row::Idle, "client_kib", "resident KiB of an idle connection, the client", 1.0, 1),
    (Row::Idle, "server_kib", "resident KiB of an idle connection, the server", 1.0, 1),
];

/// The table for people.
pub(crate) fn table(results: &Results) -> String {
    let mut text = String::new();
    for &(row, metric, title, unit, decimals) in METRICS {
        if !results.runs.iter().any(|run| run.experiment.row == row) {
            continue;
        }
        line(&mut text, format_args!("\n{title}"));
        for &peer in PeerName::ALL {
            let runs: Vec<&Run> = results
                .runs
                .iter()
                .filter(|run| run.experiment.row == row && run.experiment.peer == peer)
                .collect();
            let values: Vec<f64> =
                runs.iter().filter_map(|run| figure(run, metric)).map(|value| value / unit).collect();
            let ratios: Vec<f64> = runs
                .iter()
                .filter_map(|run| Some(figure(run, metric)? / floor(results, run, metric)?))
                .collect();
            let Some(figure) = Spread::of(&values) else {
                if !runs.is_empty() {
                    line(&mut text, format_args!("  {peer:<14}failed"));
                }
                continue;
            };
            let figure = figure.text(decimals);
            let ratio = Spread::of(&ratios).map_or_else(String::new, |ratio| format!("× {}", ratio.text(2)));
            line(&mut text, format_args!("  {peer:<14}{figure:<28}{ratio:<24}{}", remarks(&runs)));
        }
    }
    footer(results, &mut text);
    text
}

/// What a reader has to know of these runs.
fn remarks(runs: &[&Run]) -> String {
    let disturbed = runs.iter().filter(|run| run.disturbed()).count();
    let failed = runs.iter().filter(|run| run.figures.is_empty()).count();
    let mut remarks = Vec::new();
    if disturbed > 0 {
        let shares: Vec<f64> = runs.iter().map(|run| run.foreign).filter(|share| share.is_finite()).collect();
        let shares = Spread::of(&shares).map_or_else(String::new, |spread| spread.percent());
        remarks.push(format!("! {disturbed} of {} disturbed, others {shares}", runs.len()));
    }
    if failed > 0 {
        remarks.push(format!("! {failed} of {} failed", runs.len()));
    }
    remarks.join(" ")
}

fn footer(results: &Results, text: &mut String) {
    let runs = &results.runs;
    let foreign: Vec<f64> = runs.iter().map(|run| run.foreign).filter(|share| share.is_finite()).collect();
    let spread = Spread::of(&foreign).map_or_else(|| "unknown".to_owned(), |spread| spread.percent());
    line(
        text,
        format_args!(
            "\nmedian (min–max) of {} interleaved rounds of {} s, new processes for each measurement; × is the ratio to \
             bare QUIC of the same shape (else quinn-a) in the same round\nother load on the machine while measuring: {spread}; {} measurements repeated for it \
             or for a failure, {} of {} kept although above {:.0} %",
            results.effort.rounds,
            results.effort.time.as_secs_f64(),
            results.repeated,
            runs.iter().filter(|run| run.disturbed()).count(),
            runs.len(),
            QUIET * 100.0,
        ),
    );
    if let Ok((receive, send)) = quic::granted() {
        line(
            text,
            format_args!(
                "UDP socket buffers as granted: {} KiB to receive, {} KiB to send",
                receive / 1024,
                send / 1024
            ),
        );
    }
}

/// Every figure of every round, for programs.
pub(crate) fn json(results: &Results) -> String {
    let figures: Vec<String> = results
        .runs
        .iter()
        .flat_map(|run| run.figures.iter().map(move |(metric, value)| (run, metric, value)))
        .map(|(run, metric, value)| {
            format!(
                r#"{{"row":"{}","peer":"{}","round":{},"metric":"{metric}","value":{},"foreign":{}}}"#,
                run.experiment.row,
                run.experiment.peer,
                run.round,
                number(*value),
                number(run.foreign),
            )
        })
        .collect();
    format!(
        "{{\"rounds\":{},\"seconds\":{},\"repeated\":{},\n\"figures\":[\n{}\n]}}\n",
        results.effort.rounds,
        results.effort.time.as_secs_f64(),
        results.repeated,
        figures.join(",\n")
    )
}

fn number(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { "null".to_owned() }
}

fn figure(run: &Run, metric: &str) -> Option<f64> {
    run.figures.iter().find(|(name, _)| name == metric).map(|(_, value)| *value)
}

/// The same figure of the floor in the same round.
fn floor(results: &Results, of: &Run, metric: &str) -> Option<f64> {
    let same = |run: &&Run| {
        run.round == of.round
            && run.experiment.row == of.experiment.row
            && run.experiment.peer == of.experiment.peer.floor()
    };
    results.runs.iter().find(same).and_then(|run| figure(run, metric))
}
