//! Random prompts and lengths; the same seed gives the same ones.

use clap::ValueEnum;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Smaller ids are often special tokens or bytes.
pub const FIRST_ID: u32 = 100;

/// Common words that are one token in most tokenizers, so that the number of words is close to that of tokens.
const WORDS: [&str; 48] = [
    "time",
    "year",
    "people",
    "way",
    "day",
    "man",
    "thing",
    "woman",
    "life",
    "child",
    "world",
    "school",
    "state",
    "family",
    "student",
    "group",
    "country",
    "problem",
    "hand",
    "part",
    "place",
    "case",
    "week",
    "company",
    "system",
    "program",
    "question",
    "work",
    "government",
    "number",
    "night",
    "point",
    "home",
    "water",
    "room",
    "mother",
    "area",
    "money",
    "story",
    "fact",
    "month",
    "lot",
    "right",
    "study",
    "book",
    "eye",
    "job",
    "word",
];

/// The form of prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PromptMode {
    /// Arrays of token ids: exact lengths
    Ids,
    /// Words: about one token each
    Text,
}

/// A prompt.
#[derive(Clone, Debug, PartialEq)]
pub enum Prompt {
    Ids(Vec<u32>),
    Text(String),
}

/// One request to send.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub prompt: Prompt,
    /// Length of the prompt in tokens; approximate for text.
    pub prompt_len: usize,
    /// Number of tokens to request.
    pub output_len: usize,
    /// Seconds after the start before which it is not sent.
    pub arrival: f64,
}

/// The distribution of the requests.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    pub mode: PromptMode,
    pub input_len: usize,
    pub output_len: usize,
    /// Lengths are uniform in `[ratio * longest, longest]`, but at least 1.
    pub range_ratio: f64,
    pub shared_prefix_len: usize,
    pub vocab_size: u32,
    /// Requests per second; if infinite, all are sent at once.
    pub request_rate: f64,
    pub seed: u64,
}

impl Workload {
    /// Draws an endless sequence of requests in order of arrival.
    pub fn jobs(self) -> impl Iterator<Item = Job> {
        let mut rng = StdRng::seed_from_u64(self.seed);
        let prefix = self.symbols(self.shared_prefix_len, &mut rng);
        let mut clock = 0.0;
        std::iter::repeat_with(move || {
            let input_len = self.length(self.input_len, &mut rng);
            let output_len = self.length(self.output_len, &mut rng);
            let mut symbols = prefix.clone();
            symbols.extend(self.symbols(input_len, &mut rng));
            let arrival = clock;
            if self.request_rate.is_finite() {
                // Exponential gaps give a Poisson process.
                clock += -(1.0 - rng.random::<f64>()).ln() / self.request_rate;
            }
            Job { prompt_len: symbols.len(), prompt: self.write(&symbols), output_len, arrival }
        })
    }

    fn length(&self, longest: usize, rng: &mut StdRng) -> usize {
        let shortest = ((longest as f64 * self.range_ratio) as usize).clamp(1, longest.max(1));
        rng.random_range(shortest..=longest.max(1))
    }

    fn symbols(&self, len: usize, rng: &mut StdRng) -> Vec<u32> {
        let range = match self.mode {
            PromptMode::Ids => FIRST_ID..self.vocab_size.max(FIRST_ID + 1),
            PromptMode::Text => 0..WORDS.len() as u32,
        };
        (0..len).map(|_| rng.random_range(range.clone())).collect()
    }

    fn write(&self, symbols: &[u32]) -> Prompt {
        match self.mode {
            PromptMode::Ids => Prompt::Ids(symbols.to_vec()),
            PromptMode::Text => {
                let words: Vec<&str> =
                    symbols.iter().filter_map(|&s| WORDS.get(s as usize).copied()).collect();
                Prompt::Text(words.join(" "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Workload = Workload {
        mode: PromptMode::Ids,
        input_len: 40,
        output_len: 20,
        range_ratio: 0.5,
        shared_prefix_len: 8,
        vocab_size: 1000,
        request_rate: f64::INFINITY,
        seed: 1,
    };

    fn jobs(workload: Workload, count: usize) -> Vec<Job> {
        workload.jobs().take(count).collect()
    }

    #[test]
    fn lengths_and_ids_stay_in_range_and_share_the_prefix() {
        let jobs = jobs(BASE, 200);
        let Prompt::Ids(first) = &jobs[0].prompt else { panic!("ids were asked for") };
        for job in &jobs {
            let Prompt::Ids(ids) = &job.prompt else { panic!("ids were asked for") };
            assert_eq!(ids[..8], first[..8]);
            assert_eq!(ids.len(), job.prompt_len);
            assert!((28..=48).contains(&ids.len()) && (10..=20).contains(&job.output_len));
            assert!(ids.iter().all(|id| (100..1000).contains(id)));
            assert_eq!(job.arrival, 0.0);
        }
        assert_ne!(jobs[0].prompt, jobs[1].prompt);
    }

    #[test]
    fn a_seed_repeats_the_workload() {
        assert_eq!(jobs(BASE, 5), jobs(BASE, 5));
        assert_ne!(jobs(BASE, 5), jobs(Workload { seed: 2, ..BASE }, 5));
    }

    #[test]
    fn arrivals_come_at_the_asked_rate() {
        let jobs = jobs(Workload { request_rate: 50.0, input_len: 1, ..BASE }, 4001);
        assert!(jobs.windows(2).all(|w| w[0].arrival <= w[1].arrival));
        let mean = jobs[4000].arrival / 4000.0;
        assert!((mean * 50.0 - 1.0).abs() < 0.08, "{mean}");
    }

    #[test]
    fn text_has_a_word_per_token() {
        let job = jobs(Workload { mode: PromptMode::Text, range_ratio: 1.0, ..BASE }, 1).remove(0);
        let Prompt::Text(text) = job.prompt else { panic!("text was asked for") };
        assert_eq!(text.split(' ').count(), 48);
    }
}
