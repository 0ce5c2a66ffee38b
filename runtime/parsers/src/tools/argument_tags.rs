//! The tags in which each format writes calls and arguments, for the grammars of forced calls.

/// How a format writes one argument: `open KEY then VALUE close`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArgumentTags {
    /// Before the key.
    pub open: &'static str,
    /// Between the key and a string.
    pub then: &'static str,
    /// Between the key and any other value, which is JSON.
    pub then_json: &'static str,
    /// After the value.
    pub close: &'static str,
    /// What a string must not contain, because a parser would read it as the format's own tags.
    pub never: &'static [&'static str],
}

type Never = &'static [&'static str];

const fn argument(open: &'static str, then: &'static str, close: &'static str, never: Never) -> ArgumentTags {
    ArgumentTags { open, then, then_json: then, close, never }
}

const fn dsml(open: &'static str, close: &'static str, never: Never) -> ArgumentTags {
    ArgumentTags { open, then: "\" string=\"true\">", then_json: "\" string=\"false\">", close, never }
}

const QWEN_TAGS: Never = &["<parameter=", "<function=", "</function>", "<tool_call>", "</tool_call>"];
const QWEN_PARAMETER: ArgumentTags = argument("<parameter=", ">\n", "\n</parameter>\n", QWEN_TAGS);
const MIMO_PARAMETER: ArgumentTags = argument("<parameter=", ">", "</parameter>\n", QWEN_TAGS);
const MINIMAX_PARAMETER: ArgumentTags = argument(
    "<parameter name=\"",
    "\">",
    "</parameter>\n",
    &["<parameter name=\"", "<invoke name=\"", "</invoke>", "<minimax:tool_call>", "</minimax:tool_call>"],
);
const DOTS_PARAMETER: ArgumentTags = ArgumentTags {
    never: &[
        "<parameter name=\"",
        "<invoke name=\"",
        "</invoke>",
        "<dots_function_call>",
        "</dots_function_call>",
    ],
    ..MINIMAX_PARAMETER
};
const STEP3_PARAMETER: ArgumentTags = argument(
    "<steptml:parameter name=\"",
    "\">",
    "</steptml:parameter>\n",
    &[
        "<steptml:parameter name=\"",
        "<steptml:invoke name=\"",
        "</steptml:invoke>",
        "<｜tool_calls_begin｜>",
        "<｜tool_calls_end｜>",
    ],
);
const DSML_PARAMETER: ArgumentTags = dsml(
    "<｜DSML｜parameter name=\"",
    "</｜DSML｜parameter>\n",
    &["<｜DSML｜", "</｜DSML｜invoke>", "</｜DSML｜function_calls>", "</｜DSML｜tool_calls>"],
);
const DSML_SPACED_PARAMETER: ArgumentTags = dsml(
    "<｜DSML｜ parameter name=\"",
    "</｜DSML｜ parameter>\n",
    &["<｜DSML｜", "</｜DSML｜ invoke>", "</｜DSML｜ calls>"],
);
const GCML_PARAMETER: ArgumentTags = dsml(
    "<｜GCML｜parameter name=\"",
    "</｜GCML｜parameter>\n",
    &["<｜GCML｜", "</｜GCML｜invoke>", "</｜GCML｜tool_calls>"],
);
const MINICPM_PARAMETER: ArgumentTags = argument(
    "<param name=\"",
    "\">",
    "</param>",
    &["<param name=\"", "<function name=\"", "</function>", "<![CDATA["],
);
const LINES: ArgumentTags = argument(
    "<arg_key>",
    "</arg_key>\n<arg_value>",
    "</arg_value>\n",
    &[
        "<arg_key>",
        "<arg_value>",
        "<tool_call>",
        "</tool_call>",
        "<tool_calls>",
        "</tool_calls>",
        "<iquest_tool_call>",
        "</iquest_tool_call>",
    ],
);
const PAIRS: ArgumentTags = ArgumentTags {
    then: "</arg_key><arg_value>",
    then_json: "</arg_key><arg_value>",
    close: "</arg_value>",
    ..LINES
};

/// How a format writes one call: `trigger before NAME behind ARGUMENTS end`.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallTags {
    /// The text that announces a call.
    pub(super) trigger: &'static str,
    pub(super) before: &'static str,
    pub(super) behind: &'static str,
    pub(super) argument: ArgumentTags,
    pub(super) end: &'static str,
}

/// The tags of the format with this name; `None` if the format does not put arguments in tags.
pub(super) fn call_tags(format: &str) -> Option<CallTags> {
    let (trigger, before, behind, argument, end) = match format {
        "qwen3_coder" | "step3p5" | "nanbeige" => {
            ("<tool_call>\n<function=", "", ">\n", QWEN_PARAMETER, "</function>\n</tool_call>")
        }
        "mimo" => ("<tool_call>\n<function=", "", ">\n", MIMO_PARAMETER, "</function>\n</tool_call>"),
        "glm" | "glm45" | "ling3" | "poolside_v1" => ("<tool_call>", "", "\n", LINES, "</tool_call>"),
        "glm47" | "spark25" => ("<tool_call>", "", "", PAIRS, "</tool_call>"),
        "iquest_q1" => ("<iquest_tool_call>", "", "", PAIRS, "</iquest_tool_call>"),
        "hunyuan" => ("<tool_calls>", "\n<tool_call>", "<tool_sep>\n", LINES, "</tool_call>\n</tool_calls>"),
        "minimax-m2" => (
            "<minimax:tool_call>",
            "\n<invoke name=\"",
            "\">\n",
            MINIMAX_PARAMETER,
            "</invoke>\n</minimax:tool_call>",
        ),
        "dots" => (
            "<dots_function_call>",
            "\n<invoke name=\"",
            "\">\n",
            DOTS_PARAMETER,
            "</invoke>\n</dots_function_call>",
        ),
        "step3" => (
            "<｜tool_calls_begin｜>",
            "\n<｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name=\"",
            "\">\n",
            STEP3_PARAMETER,
            "</steptml:invoke><｜tool_call_end｜>\n<｜tool_calls_end｜>",
        ),
        "deepseekv32" => (
            "<｜DSML｜function_calls>",
            "\n<｜DSML｜invoke name=\"",
            "\">\n",
            DSML_PARAMETER,
            "</｜DSML｜invoke>\n</｜DSML｜function_calls>",
        ),
        "deepseekv4" => (
            "<｜DSML｜tool_calls>",
            "\n<｜DSML｜invoke name=\"",
            "\">\n",
            DSML_PARAMETER,
            "</｜DSML｜invoke>\n</｜DSML｜tool_calls>",
        ),
        "deepseekv41" => (
            "<｜DSML｜ calls>",
            "\n<｜DSML｜ invoke name=\"",
            "\">\n",
            DSML_SPACED_PARAMETER,
            "</｜DSML｜ invoke>\n</｜DSML｜ calls>",
        ),
        "gigachat35" => (
            "<｜GCML｜tool_calls>",
            "\n<｜GCML｜invoke name=\"",
            "\">\n",
            GCML_PARAMETER,
            "</｜GCML｜invoke>\n</｜GCML｜tool_calls>",
        ),
        "minicpm5" => ("<function name=\"", "", "\">", MINICPM_PARAMETER, "</function>"),
        _ => return None,
    };
    Some(CallTags { trigger, before, behind, argument, end })
}
