//! The sampling parameters of a request: read by the rows of the table ([`read`]), filled from the defaults, and
//! checked.

pub mod read;
mod watermark;

use sglang_proto::SamplingParams;
use sglang_proto::sampling_params::SamplingRequest;

use super::ValueError;

/// Builds and checks the parameters. `preferred` (`--preferred-sampling-params`) fills those that the request leaves
/// out. `stop_token_len` gives the length of a stop string in tokens.
///
/// # Errors
/// If a parameter has the wrong type or is out of range; in the reference's words.
pub fn build(
    request: SamplingRequest,
    preferred: Option<&SamplingRequest>,
    vocab_size: u32,
    stop_token_len: impl Fn(&str) -> usize,
) -> Result<SamplingParams, ValueError> {
    let request = match preferred {
        None => request,
        Some(preferred) => {
            let mut whole = preferred.clone();
            whole.overlay(request);
            whole
        }
    };
    if let Some(misfit) = request.misfit {
        return Err(ValueError(misfit));
    }
    let mut params = request.to_params();
    if params.beam_width.is_some_and(|w| w > 1) {
        return Err(ValueError("Beam search is not supported: beam_width must be 1.".into()));
    }
    params.normalize(stop_token_len).map_err(|e| ValueError(e.0))?;
    params.verify(vocab_size, &request).map_err(|e| ValueError(e.0))?;
    if let Some(asked) = params.watermark.take() {
        watermark::check(&asked)?;
    }
    Ok(params)
}

/// Whether a grammar restricts the output.
pub fn has_grammar(params: &SamplingParams) -> bool {
    [&params.json_schema, &params.regex, &params.ebnf, &params.structural_tag]
        .into_iter()
        .any(Option::is_some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn built(map: Value, preferred: Option<Value>) -> Result<SamplingParams, String> {
        let read = |map: Value| read::native(map.as_object().unwrap());
        build(read(map), preferred.map(read).as_ref(), 100, str::len).map_err(|e| e.0)
    }

    #[test]
    fn preferred_values_fill_gaps_and_explicit_ones_win() {
        let params =
            built(json!({"temperature": 0.5}), Some(json!({"temperature": 0.1, "top_p": 0.3}))).unwrap();
        assert_eq!((params.temperature, params.top_p), (0.5, 0.3));
    }

    #[test]
    fn null_keeps_preferred_values_away() {
        let params =
            built(json!({"temperature": null}), Some(json!({"temperature": 0.1, "top_p": 0.3}))).unwrap();
        assert_eq!((params.temperature, params.top_p), (1.0, 0.3));
    }

    #[test]
    fn null_is_the_default_and_for_max_new_tokens_no_limit() {
        let params = built(json!({"temperature": null, "max_new_tokens": null}), None).unwrap();
        assert_eq!((params.temperature, params.max_new_tokens), (1.0, None));
        assert_eq!(built(json!({}), None).unwrap().max_new_tokens, Some(128));
    }

    #[test]
    fn range_errors_quote_numbers_as_they_were_written() {
        let error = |map| built(map, None).unwrap_err();
        assert_eq!(
            error(json!({"temperature": -1})),
            "temperature must be a non-negative finite number, got -1."
        );
        assert_eq!(
            error(json!({"temperature": -1.0})),
            "temperature must be a non-negative finite number, got -1.0."
        );
        assert_eq!(error(json!({"top_p": 0})), "top_p must be in (0, 1], got 0.");
    }

    #[test]
    fn a_watermark_may_be_switched_off_and_is_refused_otherwise() {
        assert_eq!(built(json!({"watermark": {"enabled": false}}), None).unwrap().watermark, None);
        let on = || Some(json!({"watermark": {"enabled": true}}));
        assert!(built(json!({}), on()).unwrap_err().contains("--enable-watermark"));
        built(json!({"watermark": null}), on()).unwrap();
    }

    #[test]
    fn beams_and_unknown_names_are_refused() {
        assert!(built(json!({"beam_width": 2}), None).unwrap_err().contains("beam_width"));
        assert!(built(json!({"seed": 2}), None).unwrap_err().contains("seed"));
    }
}
