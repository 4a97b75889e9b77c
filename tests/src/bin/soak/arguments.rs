//! The command line.

pub(crate) const USAGE: &str = "\
Does at random, for long, what actors can do, and tells what is left of it.

usage: cargo run --release -p tests --bin soak -- [options]

  --seconds N    for how long, at least 5; 600
  --seed S       what is drawn at random; 1
  --json FILE    also writes every count
  --help         this text";

#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    pub(crate) seconds: u64,
    pub(crate) seed: u64,
    pub(crate) json: Option<String>,
}

impl Arguments {
    /// `None` if only the usage is asked for.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut parsed = Self { seconds: 600, seed: 1, json: None };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--seconds" => parsed.seconds = number(&value()?)?.max(5),
                "--seed" => parsed.seed = number(&value()?)?,
                "--json" => parsed.json = Some(value()?),
                "--help" | "-h" => return Ok(None),
                other => return Err(format!("{other:?} is not an option")),
            }
        }
        Ok(Some(parsed))
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number"))
}
