//! Checks whether a chat request is consistent and whether this version supports it.

use serde_json::Value;

use super::fields::ToolChoice;
use super::message::media_part;
use super::request::ChatCompletionRequest;
use crate::request_fields;

impl ChatCompletionRequest {
    /// Checks that the request is consistent. The error is the text for the client.
    ///
    /// # Errors
    /// The first fault, in the reference's words.
    pub fn validate(&self, context_length: Option<usize>, allow_auto_truncate: bool) -> Result<(), String> {
        if self.messages.is_empty() {
            return Err("Messages cannot be empty.".into());
        }
        if self.chat_template_kwargs.contains_key("chat_template") {
            return Err("Request-supplied chat_template is not allowed. Start the server with \
                        --trust-request-chat-template to permit it."
                .into());
        }
        if let Some(kind) = media_part(&self.messages) {
            return Err(format!(
                "Model only supports text input; received unsupported content type '{kind}'."
            ));
        }
        let tools: Vec<&Value> = self.tool_definitions().collect();
        let names: Vec<&Value> = tools.iter().map(|tool| &tool["function"]["name"]).collect();
        match &self.tool_choice {
            ToolChoice::Required if tools.is_empty() => {
                return Err("Tools cannot be empty if tool choice is set to required.".into());
            }
            ToolChoice::Named(_) if tools.is_empty() => {
                return Err("Tools cannot be empty if tool choice is set to a specific tool.".into());
            }
            ToolChoice::Named(name) if !names.iter().any(|n| *n == name) => {
                return Err(format!("Tool '{name}' not found in tools list."));
            }
            _ => {}
        }
        // Tools of messages must not shadow others; a request's own may repeat a name.
        let repeated = || names.iter().enumerate().any(|(i, name)| names.iter().take(i).any(|n| n == name));
        if tools.len() > self.tools.len() && repeated() {
            return Err("Tool names must be unique across request and message tools.".into());
        }
        for (i, tool) in tools.iter().enumerate() {
            if let Some(schema) = tool["function"].get("parameters").filter(|p| !p.is_null()) {
                sglang_json_schema::check(schema)
                    .map_err(|e| format!("Tool {i} function has invalid 'parameters' schema: {e}"))?;
            }
        }
        if let (Some(wanted), Some(limit), false) =
            (self.sampling_params.max_new_tokens.value(), context_length, allow_auto_truncate)
            && usize::try_from(*wanted).is_ok_and(|wanted| wanted > limit)
        {
            return Err(format!(
                "max_completion_tokens is too large: {wanted}.This model supports at most {limit} completion tokens."
            ));
        }
        if let Some(format) = &self.response_format
            && format["type"] == "json_schema"
            && request_fields::response_schema(format).is_none()
        {
            return Err("schema_ is required for json_schema response format request.".into());
        }
        Ok(())
    }

    /// Checks that the request can be converted to a native one. The error is the text for the client.
    ///
    /// # Errors
    /// If options exclude each other, or this version does not support one.
    pub fn check_conversion(&self) -> Result<(), String> {
        let not_in_streams = [
            ("return_prompt_token_ids", self.return_prompt_token_ids, ""),
            ("return_token_ids", self.return_token_ids, " on /v1/chat/completions"),
            ("return_meta_info", self.return_meta_info, ""),
        ];
        for (name, wanted, place) in not_in_streams {
            if self.stream && wanted {
                return Err(format!(
                    "{name} is not supported with streaming{place}. Please set stream=false when using {name}=true."
                ));
            }
        }
        let forced = matches!(self.tool_choice, ToolChoice::Required | ToolChoice::Named(_));
        let constrained = self.response_format.is_some()
            || [&self.sampling_params.regex, &self.sampling_params.ebnf].iter().any(|g| g.value().is_some());
        if forced && constrained {
            return Err(
                "tool_choice 'required' or a named tool cannot be combined with response_format, regex, or \
                        ebnf: the tool-call constraint and the output constraint cannot both be honored."
                    .into(),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(mut body: Value) -> ChatCompletionRequest {
        body["messages"] = json!([{"role": "user", "content": "hi"}]);
        ChatCompletionRequest::from_json(body.as_object().unwrap()).unwrap()
    }

    #[test]
    fn impossible_requests_say_why() {
        let tool = json!({"type": "function", "function": {"name": "f"}});
        let validate = |body: Value| read(body).validate(Some(100), false).unwrap_err();
        assert_eq!(
            validate(json!({"tool_choice": "required"})),
            "Tools cannot be empty if tool choice is set to required."
        );
        assert_eq!(
            validate(
                json!({"tools": [tool], "tool_choice": {"type": "function", "function": {"name": "g"}}})
            ),
            "Tool 'g' not found in tools list."
        );
        assert_eq!(
            validate(json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}})),
            "schema_ is required for json_schema response format request."
        );
        assert!(validate(json!({"max_tokens": 101})).starts_with("max_completion_tokens is too large: 101."));
        let convert = |body: Value| read(body).check_conversion().unwrap_err();
        assert!(convert(json!({"tools": [tool], "tool_choice": "required", "response_format": {"type": "json_object"}})).contains("cannot both be honored"));
        assert!(
            convert(json!({"stream": true, "return_meta_info": true}))
                .starts_with("return_meta_info is not supported with streaming.")
        );
        read(json!({"tools": [tool]})).check_conversion().unwrap();
        read(json!({"tools": [tool], "tool_choice": "required"})).check_conversion().unwrap();
        let schema = json!({"type": "function", "function": {"name": "g", "parameters": {"type": "objekt"}}});
        let bad = validate(json!({"tools": [tool, schema]}));
        assert!(
            bad.starts_with("Tool 1 function has invalid 'parameters' schema: at /type: \"objekt\""),
            "{bad}"
        );
    }

    #[test]
    fn tools_of_system_messages_count() {
        let tool = json!({"type": "function", "function": {"name": "f"}});
        let read = |tools: Value, choice: Value| {
            let body = json!({"tools": tools, "tool_choice": choice, "messages": [
                {"role": "system", "content": "x", "tools": [tool]}, {"role": "user", "content": "hi"}]});
            ChatCompletionRequest::from_json(body.as_object().unwrap()).unwrap().validate(None, false)
        };
        let named = json!({"type": "function", "function": {"name": "f"}});
        read(json!([]), named).unwrap();
        read(json!([]), json!("required")).unwrap();
        assert!(read(json!([tool]), json!("auto")).unwrap_err().starts_with("Tool names must be unique"));
    }
}
