//! A tokenizer for tests: every byte is a token, plus three special ones.

use serde_json::{Map, Value};

use sglang_tokenizer_manager::text::{ContentFormat, TextCodec, TextError};

/// Ids 0 to 255 are bytes, 256 `<s>`, 257 `</s>`, 258 `<|turn|>`.
#[derive(Clone, Debug)]
pub struct ByteCodec {
    /// Whether there is a chat template.
    pub template: bool,
}

impl Default for ByteCodec {
    fn default() -> Self {
        Self { template: true }
    }
}

/// Number of ids.
#[allow(dead_code)] // the unit tests include this file too, and need no limit
pub const VOCAB_SIZE: u32 = 259;
const SPECIAL: [(&str, u32); 3] = [("<s>", 256), ("</s>", 257), ("<|turn|>", 258)];

impl TextCodec for ByteCodec {
    fn encode(&self, text: &str, _add_special_tokens: bool) -> Result<Vec<u32>, TextError> {
        let mut ids = Vec::new();
        let mut rest = text;
        'text: while let Some(first) = rest.chars().next() {
            for (name, id) in SPECIAL {
                if let Some(tail) = rest.strip_prefix(name) {
                    ids.push(id);
                    rest = tail;
                    continue 'text;
                }
            }
            let (character, tail) = rest.split_at(first.len_utf8());
            ids.extend(character.bytes().map(u32::from));
            rest = tail;
        }
        Ok(ids)
    }

    fn encode_pair(&self, first: &str, second: &str) -> Result<(Vec<u32>, Vec<u32>), TextError> {
        let (mut ids, second) = (self.encode(&format!("<s>{first}</s>"), true)?, self.encode(second, true)?);
        let types = [vec![0; ids.len()], vec![1; second.len()]].concat();
        ids.extend(second);
        Ok((ids, types))
    }

    fn vocab_size(&self) -> usize {
        256
    }

    fn chat_template(&self) -> Option<&str> {
        self.template.then_some("{{ messages }}")
    }

    fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String, TextError> {
        let mut bytes = Vec::new();
        for id in ids {
            match (u8::try_from(*id), SPECIAL.iter().find(|(_, special)| special == id)) {
                (Ok(byte), _) => bytes.push(byte),
                (_, Some((name, _))) if !skip_special_tokens => bytes.extend_from_slice(name.as_bytes()),
                (_, Some(_)) => {}
                _ => return Err(TextError(format!("cannot decode token id {id}"))),
            }
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn token_bytes(&self, id: u32) -> Option<Vec<u8>> {
        u8::try_from(id).ok().map(|b| vec![b])
    }

    fn bos_token_id(&self) -> Option<u32> {
        Some(256)
    }

    fn model_max_length(&self) -> Option<u64> {
        None
    }

    fn has_chat_template(&self) -> bool {
        self.template
    }

    fn content_format(&self) -> ContentFormat {
        ContentFormat::String
    }

    fn render_chat(
        &self,
        messages: &[Value],
        tools: Option<&[Value]>,
        add_generation_prompt: bool,
        kwargs: &Map<String, Value>,
    ) -> Result<String, TextError> {
        if !self.template {
            return Err(TextError("there is no chat template".into()));
        }
        let mut out = String::new();
        for tool in tools.unwrap_or_default() {
            out.push_str(&format!("[tool {}]", tool["function"]["name"].as_str().unwrap_or_default()));
        }
        for (key, value) in kwargs {
            out.push_str(&format!("[{key}={value}]"));
        }
        for message in messages {
            if message["role"] == "raise" {
                return Err(TextError("roles must alternate".into()));
            }
            let text = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
            out.push_str(&format!("<|turn|>{}:{}</s>", text("role"), text("content")));
        }
        if add_generation_prompt {
            out.push_str("<|turn|>assistant:");
        }
        Ok(out)
    }
}
