//! Reassembled streams are equal to the whole answer.

use sglang_e2e::Server;

use super::answer::{Answer, streamed, whole};
use super::routes::{ROUTES, Route, Wish};

const PROMPTS: [&str; 5] = [
    "What is the capital of France?",
    "Write a poem about the sea in four lines, each with a rhyme.",
    "請用中文介紹北京。",
    "Repeat exactly: naïve façade 😀👩‍💻🇫🇷 漢字かな交じり文 — “quoted”",
    "def fibonacci(n):\n    \"\"\"Returns the n-th number.\"\"\"\n",
];

fn assert_alike(server: &Server, route: Route, wish: &Wish<'_>) -> Answer {
    let (whole, streamed) = (whole(server, route, wish), streamed(server, route, wish));
    let what = format!("{route:?} {wish:?}");
    assert_eq!(streamed.choices, whole.choices, "{what}");
    assert_eq!(whole.choices.len() as u64, wish.n, "{what}");
    // As in the reference, Ollama's streams have no counts.
    if !matches!(route, Route::OllamaGenerate | Route::OllamaChat) {
        assert_eq!(streamed.usage, whole.usage, "{what}");
    }
    assert!(whole.usage.is_some(), "{what} has no counts");
    for choice in streamed.choices.values() {
        assert_eq!(choice.finishes.len(), 1, "{what} ends {:?}", choice.finishes);
    }
    assert_eq!(streamed.end_mark, route.has_end_mark(), "{what}: end mark");
    // A piece must not contain a character that the whole answer lacks: that would be part of a split character.
    let torn = |answer: &Answer| {
        let of = |index: &u64| answer.choices[index].text.matches('\u{FFFD}').count();
        answer.choices.keys().all(|index| {
            let pieces = answer.pieces.iter().filter(|(i, _)| i == index);
            pieces.map(|(_, piece)| piece.matches('\u{FFFD}').count()).sum::<usize>() == of(index)
        })
    };
    assert!(torn(&streamed), "{what}: {:?}", streamed.pieces);
    streamed
}

#[test]
fn pieces_are_the_whole_answer_on_every_route() {
    for flags in [&[][..], &["--stream-interval", "5", "--disable-overlap-schedule"]] {
        let server = Server::start(flags).unwrap();
        for route in ROUTES {
            let written = |prompt: &&str| {
                let answer = assert_alike(&server, route, &Wish::new(prompt, 24));
                !answer.choices[&0].text.is_empty()
            };
            // Without a chat template, some prompts get an empty answer.
            assert!(PROMPTS.iter().filter(|prompt| written(prompt)).count() >= 3, "{route:?}");
            // Only the one token that is always generated, and an answer that ends by itself.
            assert_alike(&server, route, &Wish::new(PROMPTS[0], 3));
            assert_alike(&server, route, &Wish::new(PROMPTS[0], 200));
        }
    }
}

#[test]
fn every_choice_ends_once() {
    let server = Server::start(&[]).unwrap();
    for route in ROUTES.into_iter().filter(|route| route.has_choices()) {
        for (n, max_tokens) in [(2, 4), (5, 20)] {
            let wish = Wish { n, seed: Some(11), ..Wish::new(PROMPTS[1], max_tokens) };
            let answer = assert_alike(&server, route, &wish);
            assert_eq!(answer.choices.keys().copied().collect::<Vec<_>>(), (0..n).collect::<Vec<_>>());
            let texts: Vec<&str> = answer.choices.values().map(|choice| choice.text.as_str()).collect();
            assert!(texts.iter().any(|text| *text != texts[0]), "{texts:?}");
        }
    }
}

/// Text that the model is forced to write, of characters that take one to seven tokens.
const CHARACTERS: &str = "(😀|👩‍💻|🇫🇷|漢字|é|ß|🜚|か゚){14}";

#[test]
fn characters_of_several_tokens_come_whole() {
    let grammar = serde_json::json!({"regex": CHARACTERS}).to_string();
    for interval in ["1", "3"] {
        let flags = ["--preferred-sampling-params", &grammar, "--stream-interval", interval];
        let server = Server::start(&flags).unwrap();
        // The other routes send their own grammar, or none, which takes precedence over the preferred one.
        for route in ROUTES.into_iter().filter(|route| matches!(route, Route::Generate)) {
            // Also cut off inside a character.
            for max_tokens in [4, 9, 11, 128] {
                for prompt in &PROMPTS[2..4] {
                    let answer = assert_alike(&server, route, &Wish::new(prompt, max_tokens));
                    let text = &answer.choices[&0].text;
                    assert!(!text.is_ascii() || max_tokens < 128, "{route:?}: {text:?}");
                }
            }
        }
        for seed in 0..4 {
            for route in ROUTES.into_iter().filter(|route| matches!(route, Route::Generate)) {
                let wish = Wish { n: 2, seed: Some(seed), ..Wish::new(PROMPTS[3], 128) };
                let answer = assert_alike(&server, route, &wish);
                for choice in answer.choices.values() {
                    assert!(!choice.text.contains('\u{FFFD}') && !choice.text.is_ascii(), "{choice:?}");
                }
            }
        }
    }
}

#[test]
fn a_stop_string_never_shows_itself_in_a_stream() {
    let server = Server::start(&[]).unwrap();
    for route in ROUTES.into_iter().filter(|route| route.has_stop()) {
        let mut tried = 0;
        for prompt in ["Once upon a time, there was", PROMPTS[1]] {
            let free = whole(&server, route, &Wish::new(prompt, 40));
            let text = free.choices[&0].text.clone();
            let places: Vec<usize> = text.char_indices().map(|(i, _)| i).collect();
            // Without a chat template, some prompts get an empty answer.
            if places.len() < 20 {
                continue;
            }
            tried += 1;
            for (from, length) in [(3, 1), (6, 4), (9, 9), (places.len() / 2, 6)] {
                let end = places.get(from + length).copied().unwrap_or(text.len());
                let stop = &text[places[from]..end];
                let wish = Wish { stop: &[stop, "never written"], ..Wish::new(prompt, 40) };
                let answer = assert_alike(&server, route, &wish);
                let expected = text.split(stop).next().unwrap();
                assert_eq!(answer.choices[&0].text, expected, "{route:?} stop {stop:?}");
                let mut so_far = String::new();
                for (_, piece) in &answer.pieces {
                    so_far += piece;
                    assert!(expected.starts_with(&so_far), "{route:?} stop {stop:?}: {so_far:?}");
                }
            }
        }
        assert!(tried > 0, "{route:?} writes too little");
    }
}
