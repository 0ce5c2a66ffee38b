use std::time::Duration;

use sglang_e2e::Server;
use sglang_golden::{Answer, Exchange, differences, exchanges};

/// Flags of every recorded server that generates.
pub const NAME: [&str; 2] = ["--served-model-name", "MODELS/smollm2-135m-fp32"];

/// Sends the recorded request.
pub fn ask(url: &str, exchange: &Exchange) -> Answer {
    ask_with(url, exchange, &exchange.body)
}

/// Sends it with another body.
pub fn ask_with(url: &str, exchange: &Exchange, body: &str) -> Answer {
    let client = reqwest::blocking::Client::builder().timeout(Duration::from_secs(120)).build().unwrap();
    let mut request = client.request(exchange.method.parse().unwrap(), format!("{url}{}", exchange.path));
    for (name, value) in &exchange.headers {
        request = request.header(name, value);
    }
    let response = request.body(body.to_owned()).send().unwrap();
    Answer {
        status: response.status().as_u16(),
        headers: response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()))
            .collect(),
        body: response.text().unwrap(),
    }
}

/// Collects the differences of many exchanges, so that a failing test shows all of them.
#[derive(Default)]
pub struct Found(pub Vec<String>);

impl Found {
    pub fn compare(&mut self, exchange: &Exchange, answer: &Answer) {
        self.0.extend(differences(exchange, answer));
    }

    pub fn replay(&mut self, server: &Server, exchange: &Exchange) {
        self.replay_as(server, exchange, None);
    }

    /// As `replay`, but treats our model path as the recorded one: `(ours, theirs)`.
    pub fn replay_as(&mut self, server: &Server, exchange: &Exchange, model: Option<(&str, &str)>) {
        let mut answer = ask(&server.url(""), exchange);
        if let Some((ours, theirs)) = model {
            answer.body = answer.body.replace(ours, theirs);
        }
        self.compare(exchange, &answer);
    }

    pub fn assert_none(self) {
        assert!(self.0.is_empty(), "{} differences:\n{}", self.0.len(), self.0.join("\n"));
    }
}

/// Replays the wanted exchanges of a set, in their order.
pub fn replay(server: &Server, set: &str, wanted: impl Fn(&Exchange) -> bool) {
    replay_as(server, set, wanted, None);
}

/// As [`replay`], but treats our model path as the recorded one: `(ours, theirs)`.
pub fn replay_as(
    server: &Server,
    set: &str,
    wanted: impl Fn(&Exchange) -> bool,
    model: Option<(&str, &str)>,
) {
    let mut found = Found::default();
    for exchange in exchanges(set).iter().filter(|exchange| wanted(exchange)) {
        found.replay_as(server, exchange, model);
    }
    found.assert_none();
}
